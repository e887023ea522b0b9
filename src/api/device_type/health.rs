//! Reading what a type says of its devices' health, and of what is kept over time.

use utoipa::ToSchema;

use crate::api::body::{Fields, LINE_MAX_CHARS, TEXT_MAX_CHARS, sentence};
use crate::api::error::FieldErrors;
use crate::api::wanted::form::parse_path;
use crate::model::device::DataModel;
use crate::model::device_type::{HealthParameter, Scale};
use crate::types::path::ParameterPath;

/// Most health parameters, and most parameters whose values are kept besides.
const PARAMETERS_MAX: usize = 64;

/// A parameter that tells how a device is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DeviceTypeHealth)]
pub(super) struct HealthSchema {
    /// The key under which a health check shows it.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    #[schema(min_length = 1, max_length = 256)]
    path: String,
    /// An issue from this value on upwards.
    warning_above: Option<f64>,
    /// An issue from this value on downwards.
    warning_below: Option<f64>,
    /// Of the issue; `medium` unless told.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    severity: Option<String>,
    /// Of the issue; made from the name unless told.
    #[schema(nullable = false, max_length = 256)]
    code: Option<String>,
    /// Of the issue.
    #[schema(nullable = false, max_length = 8192)]
    message: Option<String>,
    /// Shows the value as a percentage of this parameter.
    #[schema(max_length = 256)]
    share_of: Option<String>,
    /// The value is what is free of this parameter: shows what is in use, as a percentage. Not together with `share_of`.
    #[schema(max_length = 256)]
    used_of: Option<String>,
}

pub(super) fn read_health_parameters(fields: &mut Fields) -> Option<Vec<HealthParameter>> {
    let parameters = fields.list_of("health_parameters", read_health_parameter)?;
    let mut seen = std::collections::HashSet::new();
    let repeated = |one: &HealthParameter| {
        // The same thing may stand elsewhere in the other data model.
        if !seen.insert((one.name.clone(), DataModel::of_path(one.path.as_str()))) {
            FieldErrors::one("name", "Is given twice.")
        } else if one.contradicts_itself() {
            FieldErrors::one("warning_below", "Must be less than warning_above.")
        } else if one.has_total_elsewhere() {
            let field = if matches!(one.scale, Scale::UsedOf(_)) { "used_of" } else { "share_of" };
            FieldErrors::one(field, "Must be of the same data model as the path.")
        } else {
            FieldErrors::default()
        }
    };
    if parameters.len() > PARAMETERS_MAX {
        fields.error("health_parameters", format!("Ensure this field has no more than {PARAMETERS_MAX} elements."));
        return None;
    }
    let errors: Vec<FieldErrors> = parameters.iter().map(repeated).collect();
    let is_unique = errors.iter().all(FieldErrors::is_empty);
    fields.element_errors("health_parameters", errors);
    is_unique.then_some(parameters)
}

fn read_health_parameter(mut element: Fields) -> Result<HealthParameter, FieldErrors> {
    let name = element.filled_line("name");
    let name = element.require("name", name);
    let path = element.parsed("path", parse_path);
    let path = element.require("path", path);
    let warning_above = element.nullable("warning_above", Fields::number).flatten();
    let warning_below = element.nullable("warning_below", Fields::number).flatten();
    let severity = element.filled_line("severity");
    let code = element.text("code", LINE_MAX_CHARS);
    let message = element.text("message", TEXT_MAX_CHARS);
    let scale = read_scale(&mut element);
    if path.as_ref().is_some_and(ParameterPath::hides_its_value) {
        element.error("path", "Is a secret, which no health check may show.");
    }
    element.finish(&[])?;
    let (Some(name), Some(path)) = (name, path) else {
        // Unreachable: what is missing has been an error above.
        return Err(FieldErrors::one("name", "This field is required."));
    };
    let made = || name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    Ok(HealthParameter {
        scale,
        code: code.filter(|code| !code.is_empty()).unwrap_or_else(made),
        severity: severity.unwrap_or_else(|| "medium".to_owned()),
        message: message.unwrap_or_default(),
        name,
        path,
        warning_above,
        warning_below,
    })
}

fn read_scale(element: &mut Fields) -> Scale {
    let mut total = |field: &str| {
        let path = |fields: &mut Fields, field: &str| fields.parsed(field, parse_path);
        element.nullable(field, path).flatten()
    };
    match (total("share_of"), total("used_of")) {
        (None, None) => Scale::Plain,
        (Some(total), None) => Scale::ShareOf(total),
        (None, Some(total)) => Scale::UsedOf(total),
        (Some(_), Some(_)) => {
            element.error("used_of", "Cannot be given together with share_of.");
            Scale::Plain
        }
    }
}

pub(super) fn read_history_parameters(fields: &mut Fields) -> Option<Vec<ParameterPath>> {
    const FIELD: &str = "history_parameters";
    let mut paths: Vec<ParameterPath> = Vec::new();
    for text in fields.lines(FIELD, PARAMETERS_MAX)? {
        match parse_path(&text) {
            Ok(path) if path.hides_its_value() => {
                fields.error(FIELD, format!("{path} is a secret, of which no values are kept."));
                return None;
            }
            Ok(path) if paths.contains(&path) => {
                fields.error(FIELD, format!("{path} is given twice."));
                return None;
            }
            Ok(path) => paths.push(path),
            Err(reason) => {
                fields.error(FIELD, sentence(&format!("the path {text} {reason}")));
                return None;
            }
        }
    }
    Some(paths)
}
