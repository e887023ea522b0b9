//! CWMP versions 1.0 to 1.4 and the namespaces they hide behind (TR-069 §3.7.4, A.6).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A protocol version. What the ACS may send depends on it; what it may receive does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum CwmpVersion {
    /// Original and Amendment 1; also assumed when nothing says otherwise.
    #[default]
    V1_0,
    /// Amendment 2.
    V1_1,
    /// Amendment 3.
    V1_2,
    /// Amendment 4: the namespace of 1.2 and a `SessionTimeout` header.
    V1_3,
    /// Amendments 5 and 6: the namespace of 1.2 and a `SupportedCWMPVersions` header.
    V1_4,
}

impl CwmpVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 5] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4];

    /// `1.4`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4 => "1.4",
        }
    }

    /// Reads `1.4`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text.trim())
    }

    /// The highest version that both acsd and a `SupportedCWMPVersions` list (`1.0, 1.1,1.2`) know.
    #[must_use]
    pub fn highest_common(list: &str) -> Option<Self> {
        list.split(',').filter_map(Self::parse).max()
    }

    /// The namespace that the schema of this version has.
    #[must_use]
    pub const fn namespace(self) -> Namespace {
        match self {
            Self::V1_0 => Namespace::Cwmp1_0,
            Self::V1_1 => Namespace::Cwmp1_1,
            Self::V1_2 | Self::V1_3 | Self::V1_4 => Namespace::Cwmp1_2,
        }
    }
}

impl fmt::Display for CwmpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The namespace URI of a message: answers carry the one that the CPE's Inform had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Namespace {
    /// `urn:dslforum-org:cwmp-1-0`.
    #[default]
    Cwmp1_0,
    /// `urn:dslforum-org:cwmp-1-1`.
    Cwmp1_1,
    /// `urn:dslforum-org:cwmp-1-2`: CWMP 1.2, 1.3 and 1.4.
    Cwmp1_2,
    /// `urn:dslforum-org:cwmp-1-3`: no standard's, but spoken (icwmp, GenieACS).
    Cwmp1_3,
    /// `urn:dslforum-org:cwmp-1-4`: no standard's, but spoken (icwmp).
    Cwmp1_4,
}

impl Namespace {
    const PREFIX: &'static str = "urn:dslforum-org:cwmp-1-";

    /// The URI.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Cwmp1_0 => "urn:dslforum-org:cwmp-1-0",
            Self::Cwmp1_1 => "urn:dslforum-org:cwmp-1-1",
            Self::Cwmp1_2 => "urn:dslforum-org:cwmp-1-2",
            Self::Cwmp1_3 => "urn:dslforum-org:cwmp-1-3",
            Self::Cwmp1_4 => "urn:dslforum-org:cwmp-1-4",
        }
    }

    /// Recognises a namespace URI; minor numbers above 4 count as 4. `None` for any other URI.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let minor: u32 = uri.trim().strip_prefix(Self::PREFIX)?.parse().ok()?;
        Some(match minor {
            0 => Self::Cwmp1_0,
            1 => Self::Cwmp1_1,
            2 => Self::Cwmp1_2,
            3 => Self::Cwmp1_3,
            _ => Self::Cwmp1_4,
        })
    }

    /// The version that an Inform with this namespace and these two headers speaks (cwmp.md §2.1).
    #[must_use]
    pub fn version(self, has_session_timeout: bool, has_supported_versions: bool) -> CwmpVersion {
        match self {
            Self::Cwmp1_0 => CwmpVersion::V1_0,
            Self::Cwmp1_1 => CwmpVersion::V1_1,
            Self::Cwmp1_2 if has_supported_versions => CwmpVersion::V1_4,
            Self::Cwmp1_2 if has_session_timeout => CwmpVersion::V1_3,
            Self::Cwmp1_2 => CwmpVersion::V1_2,
            Self::Cwmp1_3 if has_supported_versions => CwmpVersion::V1_4,
            Self::Cwmp1_3 => CwmpVersion::V1_3,
            Self::Cwmp1_4 => CwmpVersion::V1_4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_inferred_from_namespace_and_headers() {
        let ns = |uri| Namespace::parse(uri).expect("known");
        assert_eq!(ns("urn:dslforum-org:cwmp-1-0").version(false, false), CwmpVersion::V1_0);
        assert_eq!(ns("urn:dslforum-org:cwmp-1-2").version(false, false), CwmpVersion::V1_2);
        assert_eq!(ns("urn:dslforum-org:cwmp-1-2").version(true, false), CwmpVersion::V1_3);
        assert_eq!(ns("urn:dslforum-org:cwmp-1-2").version(true, true), CwmpVersion::V1_4);
        assert_eq!(Namespace::parse("urn:example:cwmp-1-0"), None);
    }

    #[test]
    fn the_highest_common_version_wins() {
        assert_eq!(CwmpVersion::highest_common("1.0, 1.1,1.2,1.3"), Some(CwmpVersion::V1_3));
        assert_eq!(CwmpVersion::highest_common("1.0,1.4,1.9"), Some(CwmpVersion::V1_4));
        assert_eq!(CwmpVersion::highest_common("2.0"), None);
    }
}
