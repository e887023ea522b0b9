//! How envelopes are written for one CPE: the emission profile (cwmp.md §7.1).
//!
//! No single shape of envelope suits every agent, so the default mirrors the CPE's own Inform and every point can be
//! overridden by a named flag.

use serde::{Deserialize, Serialize};

use super::version::Namespace;

/// When an answer starts with an XML declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclarationPolicy {
    /// As the CPE's Inform did (quirk 55).
    #[default]
    Mirror,
    /// Always, with `encoding="UTF-8"`.
    Always,
    /// Never.
    Never,
}

/// The prefixes of the SOAP namespaces; `cwmp`, `xsd` and `xsi` are fixed (netcwmp compares the literal `cwmp:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SoapPrefix {
    /// `SOAP-ENV` and `SOAP-ENC`.
    #[default]
    #[serde(rename = "SOAP-ENV")]
    Upper,
    /// `soap-env` and `soap-enc`.
    #[serde(rename = "soap-env")]
    Lower,
    /// `soapenv` and `soapenc`, for agents whose prefix matching has no hyphen (quirk 56).
    #[serde(rename = "soapenv")]
    Plain,
}

/// How booleans are written in `SetParameterValues`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BooleanForm {
    /// As the CPE itself reported that parameter or others; `1`/`0` until it did.
    #[default]
    Learned,
    /// `1` and `0`.
    Digit,
    /// `true` and `false`.
    Word,
}

/// The XML declaration of a received envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Declaration {
    /// There was none.
    #[default]
    Absent,
    /// `<?xml version="1.0"?>`.
    Plain,
    /// With an `encoding`; acsd's says `UTF-8`.
    WithEncoding,
}

/// Flags that override the mirrored shape: global in the configuration, later per device type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmissionFlags {
    /// When to send an XML declaration.
    pub xml_declaration: DeclarationPolicy,
    /// Prefixes of the SOAP namespaces.
    pub soap_prefix: SoapPrefix,
    /// Leave `ParameterKey` out of `SetParameterValues`, `AddObject` and `DeleteObject` (quirk 58).
    pub no_parameter_key: bool,
    /// Never send `GetParameterAttributes` or `SetParameterAttributes` (quirk 58).
    pub no_attributes: bool,
    /// Put `encodingStyle` on the SOAP body (quirk 49).
    pub encoding_style: bool,
    /// How booleans are written.
    pub boolean_form: BooleanForm,
}

/// The resolved shape for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Emission {
    /// Declaration to write.
    pub declaration: Declaration,
    /// Prefixes of the SOAP namespaces.
    pub soap_prefix: SoapPrefix,
    /// The CWMP namespace to answer in.
    pub namespace: Namespace,
    /// Leave `ParameterKey` out.
    pub no_parameter_key: bool,
    /// Put `encodingStyle` on the SOAP body.
    pub encoding_style: bool,
}

impl Emission {
    /// What an Inform with this declaration and namespace is answered with, under these flags.
    #[must_use]
    pub const fn resolve(flags: EmissionFlags, declaration: Declaration, namespace: Namespace) -> Self {
        let declaration = match flags.xml_declaration {
            DeclarationPolicy::Mirror => declaration,
            DeclarationPolicy::Always => Declaration::WithEncoding,
            DeclarationPolicy::Never => Declaration::Absent,
        };
        Self {
            declaration,
            soap_prefix: flags.soap_prefix,
            namespace,
            no_parameter_key: flags.no_parameter_key,
            encoding_style: flags.encoding_style,
        }
    }
}
