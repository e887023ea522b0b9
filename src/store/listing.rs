//! What a list of devices is searched for and ordered by: the same words for every backend.

use std::str::FromStr;

/// Most words of one search.
pub const WORDS_MAX: usize = 16;
/// Most fields of one ordering.
pub const ORDERINGS_MAX: usize = 3;

/// Text as it is compared: without regard to case, character by character, in no language in particular.
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Words that a device must have, each of them anywhere in one of: serial number, alternative serial number, name,
/// customer id, address, tags. Folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchWords(Vec<Box<str>>);

/// A search has more than [`WORDS_MAX`] words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has more than {WORDS_MAX} words")]
pub struct TooManyWords;

impl SearchWords {
    /// The words, folded; none: everything matches.
    #[must_use]
    pub fn words(&self) -> &[Box<str>] {
        &self.0
    }
}

impl FromStr for SearchWords {
    type Err = TooManyWords;

    fn from_str(text: &str) -> Result<Self, TooManyWords> {
        let words: Vec<Box<str>> =
            text.split_whitespace().take(WORDS_MAX + 1).map(|word| fold(word).into_boxed_str()).collect();
        if words.len() > WORDS_MAX { Err(TooManyWords) } else { Ok(Self(words)) }
    }
}

/// What devices may be ordered by. Texts are compared folded; what is not there comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderField {
    /// The key.
    Id,
    /// `serial_number`.
    SerialNumber,
    /// `name`.
    Name,
    /// `customer_id`.
    CustomerId,
    /// Down before Up.
    Status,
    /// Since when.
    StatusChange,
    /// The last Inform.
    LastConnection,
    /// When the record was made.
    Created,
    /// `software_version`.
    SoftwareVersion,
    /// `manufacturer`.
    Manufacturer,
    /// By number, IPv4 before IPv6.
    Address,
}

impl OrderField {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Id,
        Self::SerialNumber,
        Self::Name,
        Self::CustomerId,
        Self::Status,
        Self::StatusChange,
        Self::LastConnection,
        Self::Created,
        Self::SoftwareVersion,
        Self::Manufacturer,
        Self::Address,
    ];

    /// The API's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::SerialNumber => "serial_number",
            Self::Name => "name",
            Self::CustomerId => "customer_id",
            Self::Status => "status",
            Self::StatusChange => "status_change",
            Self::LastConnection => "last_connection",
            Self::Created => "created",
            Self::SoftwareVersion => "software_version",
            Self::Manufacturer => "manufacturer",
            Self::Address => "address",
        }
    }
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

impl Direction {
    /// Turns an ascending order where need be.
    #[must_use]
    pub fn turn(self, order: std::cmp::Ordering) -> std::cmp::Ordering {
        match self {
            Self::Ascending => order,
            Self::Descending => order.reverse(),
        }
    }
}

/// One field that a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderBy {
    /// Which.
    pub field: OrderField,
    /// Which way.
    pub direction: Direction,
}

/// How a list of devices is ordered: by these fields one after the other, then by key. None: by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceOrder(Vec<OrderBy>);

/// Why a text is no ordering.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such field.
    #[error("\"{0}\" is not a valid choice: lists are ordered by {choices}, with a minus sign for the reverse", choices = choices())]
    Unknown(String),
    /// More than [`ORDERINGS_MAX`].
    #[error("names more than {ORDERINGS_MAX} fields")]
    TooMany,
}

fn choices() -> String {
    OrderField::ALL.map(OrderField::as_str).join(", ")
}

impl DeviceOrder {
    /// The fields, the first one first.
    #[must_use]
    pub fn fields(&self) -> &[OrderBy] {
        &self.0
    }
}

/// Reads `-status,name`.
impl FromStr for DeviceOrder {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, OrderError> {
        let mut fields = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (direction, name) = match part.strip_prefix('-') {
                Some(name) => (Direction::Descending, name),
                None => (Direction::Ascending, part),
            };
            let field = OrderField::ALL.into_iter().find(|field| field.as_str() == name);
            fields.push(OrderBy { field: field.ok_or_else(|| OrderError::Unknown(part.to_owned()))?, direction });
            if fields.len() > ORDERINGS_MAX {
                return Err(OrderError::TooMany);
            }
        }
        Ok(Self(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orderings_are_read_as_clients_write_them() {
        let order: DeviceOrder = "-status, name".parse().expect("valid");
        assert_eq!(
            order.fields(),
            [
                OrderBy { field: OrderField::Status, direction: Direction::Descending },
                OrderBy { field: OrderField::Name, direction: Direction::Ascending },
            ]
        );
        for field in OrderField::ALL {
            assert!(field.as_str().parse::<DeviceOrder>().is_ok());
        }
        assert_eq!("-".parse::<DeviceOrder>(), Err(OrderError::Unknown("-".into())));
        assert_eq!("id,,name".parse::<DeviceOrder>(), Err(OrderError::Unknown(String::new())));
        assert_eq!("id,name,status,created".parse::<DeviceOrder>(), Err(OrderError::TooMany));
    }

    #[test]
    fn a_search_is_folded_and_bounded() {
        let words: SearchWords = "  Ábc  192.0.2.7 ".parse().expect("valid");
        assert_eq!(words.words(), ["ábc".into(), "192.0.2.7".into()] as [Box<str>; 2]);
        assert_eq!("a ".repeat(WORDS_MAX + 1).parse::<SearchWords>(), Err(TooManyWords));
        assert_eq!(fold("ΑΣ"), "ασ", "wherever in a word it stands");
    }
}
