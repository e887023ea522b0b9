//! Fault codes: 9xxx from the CPE (TR-069 A.5.1), 8xxx from the ACS (A.5.2).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a CPE answered in place of a response. Codes the standard does not name are kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpeFaultCode(pub u16);

/// What to do after a CPE fault (design.md §4, cwmp.md §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// May go away: back off and try again.
    Retry,
    /// Worth exactly one more try, in a later session (9001; 9006 after reading the type again).
    RetryOnce,
    /// Will not go away: fail at once.
    Permanent,
}

impl CpeFaultCode {
    /// Method not supported.
    pub const METHOD_NOT_SUPPORTED: Self = Self(9000);
    /// Request denied.
    pub const REQUEST_DENIED: Self = Self(9001);
    /// Internal error; also what an unreadable fault counts as.
    pub const INTERNAL_ERROR: Self = Self(9002);
    /// Invalid arguments; for `SetParameterValues`, see the faults per parameter.
    pub const INVALID_ARGUMENTS: Self = Self(9003);
    /// Resources exceeded.
    pub const RESOURCES_EXCEEDED: Self = Self(9004);
    /// Invalid parameter name.
    pub const INVALID_NAME: Self = Self(9005);
    /// Invalid parameter type.
    pub const INVALID_TYPE: Self = Self(9006);
    /// Invalid parameter value.
    pub const INVALID_VALUE: Self = Self(9007);
    /// Parameter not writable.
    pub const NOT_WRITABLE: Self = Self(9008);

    /// How a transaction reacts.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        match self.0 {
            9002 | 9004 | 9010 | 9011 | 9014 | 9015 | 9017 | 9020 | 9021 | 9027 | 9029 => Remedy::Retry,
            9001 | 9006 | 9018 => Remedy::RetryOnce,
            // Reserved for extension: treated as 9002.
            9033..=9799 => Remedy::Retry,
            _ => Remedy::Permanent,
        }
    }

    /// The standard's words for the code.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            9000 => "Method not supported",
            9001 => "Request denied",
            9002 => "Internal error",
            9003 => "Invalid arguments",
            9004 => "Resources exceeded",
            9005 => "Invalid parameter name",
            9006 => "Invalid parameter type",
            9007 => "Invalid parameter value",
            9008 => "Attempt to set a non-writable parameter",
            9009 => "Notification request rejected",
            9010 => "File transfer failure",
            9011 => "Upload failure",
            9012 => "File transfer server authentication failure",
            9013 => "Unsupported protocol for file transfer",
            9014 => "File transfer failure: unable to join multicast group",
            9015 => "File transfer failure: unable to contact file server",
            9016 => "File transfer failure: unable to access file",
            9017 => "File transfer failure: unable to complete download",
            9018 => "File transfer failure: file corrupted or otherwise unusable",
            9019 => "File transfer failure: file authentication failure",
            9020 => "File transfer failure: unable to complete within the time windows",
            9021 => "Cancelation of file transfer not permitted in current transfer state",
            9022 => "Invalid UUID format",
            9023 => "Unknown execution environment",
            9024 => "Disabled execution environment",
            9025 => "Deployment unit to execution environment mismatch",
            9026 => "Duplicate deployment unit",
            9027 => "System resources exceeded",
            9028 => "Unknown deployment unit",
            9029 => "Invalid deployment unit state",
            9030 => "Invalid deployment unit update: downgrade not permitted",
            9031 => "Invalid deployment unit update: version not specified",
            9032 => "Invalid deployment unit update: version already exists",
            9800..=9899 => "Vendor fault",
            _ => "Unknown fault",
        }
    }
}

impl fmt::Display for CpeFaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// All that a CPE ever learns of a failure on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AcsFault {
    /// 8000: method not supported.
    MethodNotSupported,
    /// 8001: request denied.
    RequestDenied,
    /// 8002: internal error.
    InternalError,
    /// 8003: invalid arguments.
    InvalidArguments,
    /// 8004: resources exceeded.
    ResourcesExceeded,
    /// 8005: the CPE has to send the identical request again.
    RetryRequest,
    /// 8006: no common CWMP version (1.4).
    VersionIncompatible,
}

impl AcsFault {
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::MethodNotSupported,
        Self::RequestDenied,
        Self::InternalError,
        Self::InvalidArguments,
        Self::ResourcesExceeded,
        Self::RetryRequest,
        Self::VersionIncompatible,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::MethodNotSupported => 8000,
            Self::RequestDenied => 8001,
            Self::InternalError => 8002,
            Self::InvalidArguments => 8003,
            Self::ResourcesExceeded => 8004,
            Self::RetryRequest => 8005,
            Self::VersionIncompatible => 8006,
        }
    }

    /// The standard's words, sent as `FaultString`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::MethodNotSupported => "Method not supported",
            Self::RequestDenied => "Request denied",
            Self::InternalError => "Internal error",
            Self::InvalidArguments => "Invalid arguments",
            Self::ResourcesExceeded => "Resources exceeded",
            Self::RetryRequest => "Retry request",
            Self::VersionIncompatible => "ACS version incompatible with CPE",
        }
    }

    /// `Client` or `Server`, the SOAP `faultcode` (A.5.2).
    #[must_use]
    pub const fn soap_code(self) -> &'static str {
        match self {
            Self::InvalidArguments => "Client",
            Self::MethodNotSupported
            | Self::RequestDenied
            | Self::InternalError
            | Self::ResourcesExceeded
            | Self::RetryRequest
            | Self::VersionIncompatible => "Server",
        }
    }
}
