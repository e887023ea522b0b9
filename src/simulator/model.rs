//! Data models: what parameters and tables a kind of CPE has. Read-only and shared by all CPEs of that kind.

mod builder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use builder::{Builder, split_csv};

use crate::types::value::XsdType;

/// Parameters in a model before it is refused.
const LEAVES_MAX: usize = 200_000;

/// Why a data model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read the data model {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no array of objects as documented.
    #[error("the data model is no valid JSON")]
    Json(#[source] serde_json::Error),
    /// A line is wrong.
    #[error("line {line} of the data model: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// No line at all, or more than one root object.
    #[error("the data model needs exactly one root object, such as Device.")]
    Root,
    /// Too many parameters.
    #[error("the data model has more than {LEAVES_MAX} parameters")]
    TooLarge,
}

/// What values a parameter takes beyond its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Limit {
    #[default]
    None,
    /// Characters.
    Length(usize),
    Range(i64, i64),
    OneOf(Box<[Box<str>]>),
}

/// What the five columns say about a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Spec {
    pub(super) ty: XsdType,
    pub(super) writable: bool,
    pub(super) hidden: bool,
    pub(super) forced: bool,
    pub(super) active: bool,
    pub(super) deny: bool,
    pub(super) trigger: bool,
    pub(super) limit: Limit,
    pub(super) value: Box<str>,
}

/// What kind of object a path ending in a dot names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Plain,
    /// Index into [`DataModel::tables`].
    Table(usize),
    /// A row; `true` when it may be deleted.
    Row {
        deletable: bool,
    },
}

/// What a new row of a table holds.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) creatable: bool,
    initial: u32,
    /// Path below the row, and an index into [`DataModel::specs`].
    leaves: Vec<(Box<str>, usize)>,
    /// Tables inside the row: path below the row, and an index into [`DataModel::tables`].
    tables: Vec<(Box<str>, usize)>,
}

/// What a row (or a whole model) consists of, collected while it is made.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Path and index into [`DataModel::specs`].
    pub(super) leaves: BTreeMap<Box<str>, usize>,
    pub(super) objects: BTreeMap<Box<str>, ObjectKind>,
}

/// A data model, shared by all CPEs that have it.
///
/// A model is text, one line per parameter or table, the same for the two built-in ones and for `--data-model FILE`:
///
/// ```text
/// path,type,writable,value,flags
/// Device.DeviceInfo.ProvisioningCode,string,1,,forced active max=64
/// Device.NAT.PortMapping.{i}.,table,1,2,
/// Device.NAT.PortMapping.{i}.ExternalPort,unsignedInt,1,0,range=0..65535
/// Device.NAT.PortMapping.1.ExternalPort,unsignedInt,1,8080,
/// Device.NAT.PortMappingNumberOfEntries,unsignedInt,0,${count:PortMapping},
/// ```
///
/// * A `table` line declares a table of instances; its `writable` says whether rows may be added and deleted, its value
///   how many rows there are at first. Lines with `{i}` describe what each new row holds.
/// * Lines without `{i}` are parameters of their own, or give a row its particular value. Tables without a `table` line
///   are inferred from numeric segments; their rows can be added when any of their parameters is writable.
/// * Values may hold `${...}`: `serial`, `oui`, `class`, `manufacturer`, `mac`, `wan_ip`, `uptime`, `now`, `acs_url`,
///   `username`, `password`, `interval`, `cr_url`, `software`, `i` (the number of the row), `count:Table`.
/// * `flags`, separated by blanks: `hidden` (reads as an empty string), `forced` (in every Inform), `active` (notified
///   from the start), `deny` (refuses active notification, 9009), `trigger` (reads back false), `max=N` (characters),
///   `range=LOW..HIGH`, `enum=A|B|C`.
///
/// An object with a writable `DiagnosticsState` is a test: `IPPing`, `TraceRouteDiagnostics` and their like do what their
/// names say, one with `Neighbor` in its name scans, any other succeeds without results. Results that the model does
/// not have are left out; the words of `DiagnosticsState` decide between `Complete` and `Completed`.
///
/// JSON is an array of objects with the same five members (`flags` optional, `writable` a boolean).
#[derive(Debug)]
pub struct DataModel {
    root: Box<str>,
    specs: Vec<Spec>,
    tables: Vec<Table>,
    leaves: Vec<(Box<str>, usize)>,
    objects: Vec<(Box<str>, ObjectKind)>,
    /// Indexes into `leaves` of those that stand in every Inform.
    forced: Vec<usize>,
}

static TR181: LazyLock<Option<Arc<DataModel>>> =
    LazyLock::new(|| DataModel::from_csv(include_str!("model/tr181.csv")).ok().map(Arc::new));
static TR098: LazyLock<Option<Arc<DataModel>>> =
    LazyLock::new(|| DataModel::from_csv(include_str!("model/tr098.csv")).ok().map(Arc::new));

impl DataModel {
    /// The built-in TR-181 gateway, root `Device.`.
    #[must_use]
    pub fn tr181() -> Arc<Self> {
        TR181.clone().unwrap_or_else(|| Arc::new(Self::bare("Device.")))
    }

    /// The built-in TR-098 gateway, root `InternetGatewayDevice.`.
    #[must_use]
    pub fn tr098() -> Arc<Self> {
        TR098.clone().unwrap_or_else(|| Arc::new(Self::bare("InternetGatewayDevice.")))
    }

    /// Reads a model from a file: JSON when its name ends in `.json`, else CSV.
    ///
    /// # Errors
    /// [`ModelError`] when the file cannot be read or is not as the module's documentation says.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
        if is_json { Self::from_json(&text) } else { Self::from_csv(&text) }
    }

    /// Reads a model in CSV.
    ///
    /// # Errors
    /// [`ModelError`] names the line.
    pub fn from_csv(text: &str) -> Result<Self, ModelError> {
        let mut builder = Builder::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || line.starts_with("path,") {
                continue;
            }
            let columns = split_csv(line);
            let column = |n: usize| columns.get(n).map_or("", String::as_str);
            let writable = matches!(column(2).trim(), "1" | "true" | "rw");
            builder
                .line(column(0).trim(), column(1).trim(), writable, column(3), column(4))
                .map_err(|problem| ModelError::Line { line: at + 1, problem })?;
        }
        builder.finish()
    }

    /// Reads a model in JSON.
    ///
    /// # Errors
    /// [`ModelError`]; lines are counted as members of the array.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            path: String,
            #[serde(rename = "type")]
            ty: String,
            #[serde(default)]
            writable: bool,
            #[serde(default)]
            value: String,
            #[serde(default)]
            flags: String,
        }
        let rows: Vec<Row> = serde_json::from_str(text).map_err(ModelError::Json)?;
        let mut builder = Builder::default();
        for (at, row) in rows.iter().enumerate() {
            builder
                .line(&row.path, &row.ty, row.writable, &row.value, &row.flags)
                .map_err(|problem| ModelError::Line { line: at + 1, problem })?;
        }
        builder.finish()
    }

    /// `Device.` or `InternetGatewayDevice.`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Parameters that a CPE has before anything is added or deleted.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.leaves.len()
    }

    pub(super) fn spec(&self, index: usize) -> Option<&Spec> {
        self.specs.get(index)
    }

    pub(super) fn table(&self, index: usize) -> Option<&Table> {
        self.tables.get(index)
    }

    pub(super) fn leaf(&self, path: &str) -> Option<&Spec> {
        let at = self.leaves.binary_search_by(|(have, _)| (**have).cmp(path)).ok()?;
        self.spec(self.leaves.get(at)?.1)
    }

    pub(super) fn object(&self, path: &str) -> Option<ObjectKind> {
        let at = self.objects.binary_search_by(|(have, _)| (**have).cmp(path)).ok()?;
        Some(self.objects.get(at)?.1)
    }

    /// Parameters that stand in every Inform.
    pub(super) fn forced(&self) -> impl Iterator<Item = &str> {
        self.forced.iter().filter_map(|at| Some(&*self.leaves.get(*at)?.0))
    }

    /// Parameters whose path begins with `prefix`, in order.
    pub(super) fn leaves_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Spec)> {
        let from = self.leaves.partition_point(|(path, _)| **path < *prefix);
        let below = self.leaves.get(from..).unwrap_or_default();
        below
            .iter()
            .take_while(move |(path, _)| path.starts_with(prefix))
            .filter_map(|(path, spec)| Some((&**path, self.spec(*spec)?)))
    }

    /// Objects whose path begins with `prefix`, itself included, in order.
    pub(super) fn objects_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, ObjectKind)> {
        let from = self.objects.partition_point(|(path, _)| **path < *prefix);
        let below = self.objects.get(from..).unwrap_or_default();
        below.iter().take_while(move |(path, _)| path.starts_with(prefix)).map(|(path, kind)| (&**path, *kind))
    }

    /// Makes row `number` of the table at `path`.
    pub(super) fn make_row(&self, table: usize, path: &str, number: u32) -> Parts {
        let mut parts = Parts::default();
        make_row(&self.tables, table, path, number, Rows::OnlyFixed, &mut parts);
        parts
    }

    fn bare(root: &str) -> Self {
        Self {
            root: root.into(),
            specs: Vec::new(),
            tables: Vec::new(),
            leaves: Vec::new(),
            objects: vec![(root.into(), ObjectKind::Plain)],
            forced: Vec::new(),
        }
    }
}

/// Which tables inside a new row have rows of their own at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// In a factory-fresh CPE: all that the model says.
    All,
    /// In a row that the ACS adds: only those that nobody could add.
    OnlyFixed,
}

fn make_row(tables: &[Table], table: usize, path: &str, number: u32, rows: Rows, parts: &mut Parts) {
    let Some(definition) = tables.get(table) else { return };
    let row = format!("{path}{number}.");
    parts.objects.insert(row.as_str().into(), ObjectKind::Row { deletable: definition.creatable });
    for (suffix, spec) in &definition.leaves {
        let leaf = format!("{row}{suffix}");
        plain_objects(&leaf, row.len(), &mut parts.objects);
        parts.leaves.insert(leaf.into(), *spec);
    }
    for (suffix, inner) in &definition.tables {
        let inner_path = format!("{row}{suffix}");
        plain_objects(inner_path.trim_end_matches('.'), row.len(), &mut parts.objects);
        let Some(inner_definition) = tables.get(*inner) else { continue };
        if rows == Rows::All || !inner_definition.creatable {
            for number in 1..=inner_definition.initial {
                make_row(tables, *inner, &inner_path, number, rows, parts);
            }
        }
        parts.objects.insert(inner_path.into(), ObjectKind::Table(*inner));
    }
}

/// Enters every object on the way to `path` that lies below its first `from` bytes and is not there yet.
fn plain_objects(path: &str, from: usize, objects: &mut BTreeMap<Box<str>, ObjectKind>) {
    for (at, _) in path.match_indices('.').filter(|(at, _)| *at >= from) {
        let Some(object) = path.get(..=at) else { continue };
        if !objects.contains_key(object) {
            objects.insert(object.into(), ObjectKind::Plain);
        }
    }
}

impl Spec {
    fn flags(&mut self, flags: &str) -> Result<(), &'static str> {
        for flag in flags.split_whitespace() {
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("hidden", _) => self.hidden = true,
                ("forced", _) => self.forced = true,
                ("active", _) => self.active = true,
                ("deny", _) => self.deny = true,
                ("trigger", _) => self.trigger = true,
                ("max", n) => self.limit = Limit::Length(n.parse().map_err(|_| "max= needs a number")?),
                ("range", range) => {
                    let (low, high) = range.split_once("..").ok_or("range= needs LOW..HIGH")?;
                    let number = |text: &str| text.parse().map_err(|_| "range= needs two numbers");
                    self.limit = Limit::Range(number(low)?, number(high)?);
                }
                ("enum", words) => self.limit = Limit::OneOf(words.split('|').map(Into::into).collect()),
                _ => return Err("unknown flag"),
            }
        }
        Ok(())
    }

    /// Whether `text` is a value that this parameter takes: the lexical rules of XML Schema, then the model's limit.
    pub(super) fn accepts(&self, text: &str) -> bool {
        let lexical = match self.ty {
            XsdType::Boolean => matches!(text.trim(), "0" | "1" | "true" | "false"),
            ty => ty.check(text).is_ok(),
        };
        lexical
            && match &self.limit {
                Limit::None => true,
                Limit::Length(max) => text.chars().count() <= *max,
                Limit::Range(low, high) => text.trim().parse().is_ok_and(|n: i64| (*low..=*high).contains(&n)),
                Limit::OneOf(words) => words.iter().any(|word| **word == *text),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_models_are_valid_and_large() {
        for (text, root) in
            [(include_str!("model/tr181.csv"), "Device."), (include_str!("model/tr098.csv"), "InternetGatewayDevice.")]
        {
            let model = DataModel::from_csv(text).expect("valid");
            assert_eq!(model.root(), root);
            assert!(model.parameter_count() >= 300, "{root} has {}", model.parameter_count());
            for (path, spec) in model.leaves_below("") {
                if !spec.value.contains("${") {
                    assert!(spec.accepts(&spec.value), "{path} = {:?}", spec.value);
                }
                let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                assert!(model.object(&format!("{parent}.")).is_some(), "{path} has no parent");
            }
        }
    }

    #[test]
    fn a_dump_without_tables_gets_them_inferred() {
        let model = DataModel::from_csv(
            "path,type,writable,value\nDevice.A.1.B.2.Name,string,1,\"x,\"\"y\"\"\"\nDevice.A.1.Up,boolean,0,true\n",
        )
        .expect("valid");
        assert_eq!(model.leaf("Device.A.1.B.2.Name").map(|spec| &*spec.value), Some("x,\"y\""));
        assert!(matches!(model.object("Device.A.1.B."), Some(ObjectKind::Table(_))));
        assert_eq!(model.object("Device.A.1.B.2."), Some(ObjectKind::Row { deletable: true }));
        assert!(matches!(model.object("Device.A."), Some(ObjectKind::Table(_))));
    }

    #[test]
    fn json_is_the_same_model() {
        let text = r#"[{"path":"Device.X.{i}.","type":"table","writable":true,"value":"2"},
            {"path":"Device.X.{i}.Y","type":"int","value":"7"}]"#;
        let model = DataModel::from_json(text).expect("valid");
        assert_eq!(model.parameter_count(), 2);
        assert!(matches!(DataModel::from_json("[]"), Err(ModelError::Root)));
        assert!(matches!(DataModel::from_csv("Device.X.,int,0,1"), Err(ModelError::Line { line: 1, .. })));
    }
}
