//! `Inform` (TR-069 A.3.3.1): the call that opens every session.

use crate::types::event::EventCode;
use crate::types::value::XsdType;

use super::Text;

/// Identity, reasons and fresh values of a CPE.
#[derive(Debug, Clone, PartialEq)]
pub struct Inform<'a> {
    /// Who calls.
    pub device_id: DeviceIdStruct<'a>,
    /// Why; may be empty (quirk 47).
    pub events: Vec<EventStruct<'a>>,
    /// Always 1 in what acsd believes of it (quirk 48); kept for round trips.
    pub max_envelopes: u32,
    /// The CPE's idea of the time, as sent.
    pub current_time: Text<'a>,
    /// Failed attempts since the last success.
    pub retry_count: u32,
    /// Forced and changed parameters with their present values.
    pub parameters: Vec<ParameterValueStruct<'a>>,
}

/// `DeviceIdStruct`, as reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceIdStruct<'a> {
    /// Up to 64 characters, any script.
    pub manufacturer: Text<'a>,
    /// Six hexadecimal digits, if the CPE follows the schema.
    pub oui: Text<'a>,
    /// May be empty.
    pub product_class: Text<'a>,
    /// Up to 64 characters.
    pub serial_number: Text<'a>,
}

/// `EventStruct`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStruct<'a> {
    /// The code, read leniently.
    pub code: EventCode,
    /// The code as spelled.
    pub raw_code: Text<'a>,
    /// Empty except for `M` events.
    pub command_key: Text<'a>,
}

/// `ParameterValueStruct`: also in `GetParameterValuesResponse` and `SetParameterValues`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterValueStruct<'a> {
    /// Full path, trimmed.
    pub name: Text<'a>,
    /// The value as sent, blanks included.
    pub value: Text<'a>,
    /// From `xsi:type`.
    pub ty: XsdType,
}
