//! Paths into a CPE's data model: an object ends in a dot, a parameter does not, and the two are different types.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest path, in characters (`ObjectName`, `Name`: `string(256)`, TR-069 A.2.2.1).
pub const PATH_MAX_CHARS: usize = 256;

/// Why a piece of text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing, or blanks alone.
    #[error("may not be blank")]
    Blank,
    /// Longer than the schema allows.
    #[error("has {chars} characters, at most {PATH_MAX_CHARS} are allowed")]
    TooLong {
        /// What was given.
        chars: usize,
    },
    /// Two dots in a row, or one at the start.
    #[error("has an empty segment")]
    EmptySegment,
    /// A character that no CWMP path carries.
    #[error("contains {0:?}, which no path may")]
    Character(char),
    /// A parameter where an object is needed.
    #[error("must name an object: it has to end in a dot")]
    NotAnObject,
    /// An object where a parameter is needed.
    #[error("must name a parameter: it may not end in a dot")]
    NotAParameter,
    /// `DeleteObject` takes one instance, `...{i}.`.
    #[error("must name an instance of a table: its last segment has to be a number or an [alias]")]
    NotAnInstance,
}

/// `Device.IP.Interface.`: always ends in a dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectPath(Box<str>);

/// `Device.IP.Interface.1.Enable`: never ends in a dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterPath(Box<str>);

/// What a read may name: one parameter, or everything below an object (a partial path, TR-069 A.3.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReadPath {
    /// One parameter.
    Parameter(ParameterPath),
    /// The whole subtree.
    Subtree(ObjectPath),
}

impl ObjectPath {
    /// The text, with its final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment: `1` of `Device.IP.Interface.1.`.
    #[must_use]
    pub fn last_segment(&self) -> &str {
        let body = self.0.strip_suffix('.').unwrap_or(&self.0);
        body.rsplit('.').next().unwrap_or(body)
    }

    /// The row `instance` of this table.
    #[must_use]
    pub fn instance(&self, instance: u32) -> Self {
        Self(format!("{}{instance}.", self.0).into_boxed_str())
    }

    /// Whether the path ends in an instance number or alias.
    #[must_use]
    pub fn is_instance(&self) -> bool {
        let last = self.last_segment();
        (last.starts_with('[') && last.ends_with(']')) || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
    }

    /// The table this row belongs to: `Device.IP.Interface.` of `Device.IP.Interface.1.`; `None` at the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let body = self.0.strip_suffix('.')?;
        let dot = body.rfind('.')?;
        Some(Self(self.0[..=dot].into()))
    }

    /// The parameter `leaf` (which may have dots of its own) below this object.
    ///
    /// # Errors
    /// [`PathError`] when what results is no parameter path.
    pub fn leaf(&self, leaf: &str) -> Result<ParameterPath, PathError> {
        ParameterPath::try_from(format!("{}{leaf}", self.0).as_str())
    }
}

impl ParameterPath {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As [`hides_its_value`].
    #[must_use]
    pub fn hides_its_value(&self) -> bool {
        hides_its_value(&self.0)
    }
}

impl ReadPath {
    /// The text, with a final dot when it is a subtree.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Parameter(path) => path.as_str(),
            Self::Subtree(path) => path.as_str(),
        }
    }
}

impl TryFrom<&str> for ObjectPath {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Self, PathError> {
        check(text)?;
        if text.ends_with('.') { Ok(Self(text.into())) } else { Err(PathError::NotAnObject) }
    }
}

impl TryFrom<&str> for ParameterPath {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Self, PathError> {
        check(text)?;
        if text.ends_with('.') { Err(PathError::NotAParameter) } else { Ok(Self(text.into())) }
    }
}

impl TryFrom<&str> for ReadPath {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Self, PathError> {
        if text.ends_with('.') {
            ObjectPath::try_from(text).map(Self::Subtree)
        } else {
            ParameterPath::try_from(text).map(Self::Parameter)
        }
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ParameterPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ReadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the leaves end that hold secrets, in small letters: such parameters are written, but devices show them empty or
/// starred (`hidden` in the data models, quirk 53), and acsd shows them to nobody.
const SECRET_ENDINGS: [&str; 10] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "sharedkey",
    "privatekey",
    "wepkey",
    "psk",
    "secret",
    // Of a SIM card, and of a WPS registrar.
    ".pin",
];

/// Whether the parameter's name says that its value is a secret: passwords, passphrases, pre-shared keys and the like.
/// `PasswordRequired` is none.
#[must_use]
pub fn hides_its_value(path: &str) -> bool {
    // `WEPKey1`: a number may follow.
    let name = path.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    SECRET_ENDINGS.into_iter().any(|ending| name.ends_with(ending))
}

fn check(text: &str) -> Result<(), PathError> {
    if text.trim().is_empty() {
        return Err(PathError::Blank);
    }
    let chars = text.chars().count();
    if chars > PATH_MAX_CHARS {
        return Err(PathError::TooLong { chars });
    }
    if let Some(bad) = text.chars().find(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '&' | '"'))
    {
        return Err(PathError::Character(bad));
    }
    if text.starts_with('.') || text.contains("..") {
        return Err(PathError::EmptySegment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_dot_decides() {
        assert!(matches!(ReadPath::try_from("Device.WiFi."), Ok(ReadPath::Subtree(_))));
        assert!(matches!(ReadPath::try_from("Device.WiFi.X"), Ok(ReadPath::Parameter(_))));
        assert_eq!(ObjectPath::try_from("Device.WiFi"), Err(PathError::NotAnObject));
        assert_eq!(ParameterPath::try_from("Device."), Err(PathError::NotAParameter));
    }

    #[test]
    fn what_is_no_path_says_why() {
        let table = [
            ("", PathError::Blank),
            ("Device..X", PathError::EmptySegment),
            (".Device", PathError::EmptySegment),
            ("Device.a b", PathError::Character(' ')),
            ("Device.<", PathError::Character('<')),
        ];
        for (text, want) in table {
            assert_eq!(ParameterPath::try_from(text), Err(want), "{text:?}");
        }
        let long = format!("Device.{}", "x".repeat(250));
        assert_eq!(ParameterPath::try_from(long.as_str()), Err(PathError::TooLong { chars: 257 }));
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        let secrets = [
            "Device.ManagementServer.Password",
            "Device.ManagementServer.ConnectionRequestPassword",
            "Device.WiFi.AccessPoint.1.Security.KeyPassphrase",
            "Device.WiFi.AccessPoint.1.Security.SAEPassphrase",
            "Device.WiFi.AccessPoint.1.Security.PreSharedKey",
            "Device.WiFi.AccessPoint.1.Security.WEPKey",
            "Device.WiFi.AccessPoint.1.Security.RadiusSecret",
            "Device.Cellular.Interface.1.USIM.PIN",
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.PreSharedKey.1.PreSharedKey",
            "InternetGatewayDevice.X_VENDOR_User.userpasswd2",
        ];
        for path in secrets {
            assert!(hides_its_value(path), "{path}");
        }
        let open = [
            "Device.UserInterface.PasswordRequired",
            "Device.ManagementServer.Username",
            "Device.WiFi.SSID.1.SSID",
            "Device.WiFi.AccessPoint.1.Security.ModeEnabled",
            "Device.X_VENDOR.Mapping",
            "Device.IP.Diagnostics.X_Spin",
        ];
        for path in open {
            assert!(!hides_its_value(path), "{path}");
        }
    }

    #[test]
    fn rows_know_their_table() {
        let table = ObjectPath::try_from("Device.IP.Interface.").expect("valid");
        let row = table.instance(3);
        assert_eq!(row.as_str(), "Device.IP.Interface.3.");
        assert!(row.is_instance() && !table.is_instance());
        assert_eq!(row.parent(), Some(table));
        assert_eq!(row.leaf("Enable").expect("valid").as_str(), "Device.IP.Interface.3.Enable");
    }
}
