//! Placeholders in wanted values: `{serial}` becomes the device's own when the value is brought to it.
//!
//! `{{` stands for a brace that is meant as one; a closing brace outside a placeholder stands for itself.

/// What a value may be made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{serial}`, `{serial_number}`: by which the API addresses the device.
    SerialNumber,
    /// `{oui}`: as the device reports it.
    Oui,
    /// `{product_class}`: as the device reports it.
    ProductClass,
    /// `{name}`.
    Name,
    /// `{customer_id}`.
    CustomerId,
    /// `{description}`.
    Description,
    /// `{location}`: the device's location name, else that of its location record.
    Location,
    /// `{location_name}`: the device's own.
    LocationName,
    /// `{location_short_name}`: of its location record.
    LocationShortName,
    /// `{organization}`: its organization's name.
    Organization,
    /// `{organization_short_name}`.
    OrganizationShortName,
    /// `{latitude}`: the device's own, else that of its location record.
    Latitude,
    /// `{longitude}`: the device's own, else that of its location record.
    Longitude,
    /// `{username}`: what the device is to present to acsd.
    Username,
}

/// Every name between braces, and what it stands for.
const NAMES: [(&str, Placeholder); 15] = [
    ("serial", Placeholder::SerialNumber),
    ("serial_number", Placeholder::SerialNumber),
    ("oui", Placeholder::Oui),
    ("product_class", Placeholder::ProductClass),
    ("name", Placeholder::Name),
    ("customer_id", Placeholder::CustomerId),
    ("description", Placeholder::Description),
    ("location", Placeholder::Location),
    ("location_name", Placeholder::LocationName),
    ("location_short_name", Placeholder::LocationShortName),
    ("organization", Placeholder::Organization),
    ("organization_short_name", Placeholder::OrganizationShortName),
    ("latitude", Placeholder::Latitude),
    ("longitude", Placeholder::Longitude),
    ("username", Placeholder::Username),
];

/// A value has a brace that begins no placeholder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{{{name} begins no known placeholder; a brace that is meant as one is written {{{{")]
pub struct UnknownPlaceholder {
    /// What follows the brace, with the closing one if there is any.
    pub name: String,
}

/// Whether every placeholder of a wanted value is known.
///
/// # Errors
/// [`UnknownPlaceholder`]: the first that is not.
pub fn check(text: &str) -> Result<(), UnknownPlaceholder> {
    Pieces(text).try_for_each(|piece| match piece {
        Piece::Text(_) | Piece::Place(_) => Ok(()),
        Piece::Unknown(raw) => Err(UnknownPlaceholder { name: raw.chars().skip(1).take(64).collect() }),
    })
}

/// The text with its placeholders filled. What no placeholder is known for stays as it stands: [`check`] refuses it
/// where it is written.
pub fn fill<'v>(text: &str, value: impl Fn(Placeholder) -> &'v str) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in Pieces(text) {
        filled.push_str(match piece {
            Piece::Text(text) | Piece::Unknown(text) => text,
            Piece::Place(placeholder) => value(placeholder),
        });
    }
    filled
}

enum Piece<'t> {
    Text(&'t str),
    Place(Placeholder),
    /// From its opening brace on.
    Unknown(&'t str),
}

/// A text cut up; holds what is left of it.
struct Pieces<'t>(&'t str);

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        let text = self.0;
        if let Some(rest) = text.strip_prefix("{{") {
            self.0 = rest;
            return Some(Piece::Text("{"));
        }
        let Some(inside) = text.strip_prefix('{') else {
            let (plain, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
            self.0 = rest;
            return (!plain.is_empty()).then_some(Piece::Text(plain));
        };
        let Some((name, rest)) = inside.split_once('}') else {
            self.0 = "";
            return Some(Piece::Unknown(text));
        };
        self.0 = rest;
        let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, placeholder)| *placeholder);
        Some(match known {
            Some(placeholder) => Piece::Place(placeholder),
            None => Piece::Unknown(text.strip_suffix(rest).unwrap_or(text)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_braces_can_be_meant() {
        let value = |placeholder| match placeholder {
            Placeholder::SerialNumber => "SN1",
            Placeholder::Location => "{serial}",
            _ => "",
        };
        let table = [
            ("", ""),
            ("plain", "plain"),
            ("{serial}", "SN1"),
            ("a{serial_number}b{oui}c", "aSN1bc"),
            ("{{serial}", "{serial}"),
            ("{{{serial}}", "{SN1}"),
            ("}", "}"),
            ("{location}", "{serial}"),
            ("ü{serial}ü", "üSN1ü"),
            ("{nope} {serial}", "{nope} SN1"),
            ("{serial", "{serial"),
        ];
        for (text, want) in table {
            assert_eq!(fill(text, value), want, "{text:?}");
        }
    }

    #[test]
    fn what_begins_no_placeholder_is_named() {
        for good in ["", "x", "{serial}", "{{", "{{nope}}", "}"] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for (bad, name) in [("{nope}", "nope}"), ("a{", ""), ("{ serial}", " serial}"), ("{Serial}", "Serial}")] {
            assert_eq!(check(bad), Err(UnknownPlaceholder { name: name.to_owned() }), "{bad:?}");
        }
        let words = check("{nope}").expect_err("unknown").to_string();
        assert_eq!(words, "{nope} begins no known placeholder; a brace that is meant as one is written {{");
    }
}
