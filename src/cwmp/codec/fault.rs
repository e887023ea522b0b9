//! SOAP faults with the CWMP detail (TR-069 §3.5, A.5), and the `FaultStruct` of transfers.

use crate::cwmp::fault::{AcsFault, CpeFaultCode};
use crate::cwmp::message::{Fault, FaultStruct, ParameterFault, Text};

use super::DecodeError;
use super::lexical::unsigned;
use super::reader::{Node, XmlReader};
use super::writer::XmlWriter;

/// What was gathered of a fault so far.
#[derive(Default)]
struct Findings<'a> {
    code: Option<u16>,
    /// A number from 9000 to 9999 in any other text.
    hint: Option<u16>,
    message: Option<Text<'a>>,
    /// SOAP's own `faultstring`.
    soap_message: Text<'a>,
    parameters: Vec<ParameterFault<'a>>,
}

/// Reads the fault just opened, whatever its shape (quirk 25).
pub(super) fn decode<'a>(xml: &mut XmlReader<'a, '_>) -> Result<Fault<'a>, DecodeError> {
    let mut found = Findings::default();
    gather(xml, &mut found)?;
    let blamed = (!found.parameters.is_empty()).then_some(CpeFaultCode::INVALID_ARGUMENTS.0);
    let code = found.code.or(found.hint).or(blamed).map_or(CpeFaultCode::INTERNAL_ERROR, CpeFaultCode);
    let message = found.message.unwrap_or(found.soap_message);
    Ok(Fault { code, message, parameters: found.parameters })
}

/// Looks through everything below the open element. The reader's limit on depth bounds the recursion.
fn gather<'a>(xml: &mut XmlReader<'a, '_>, found: &mut Findings<'a>) -> Result<(), DecodeError> {
    loop {
        let tag = match xml.next()? {
            Node::End => return Ok(()),
            Node::Text(text) | Node::Reference(text) => {
                found.hint = found.hint.or_else(|| cpe_code_in(&text));
                continue;
            }
            Node::Child(tag) => tag,
        };
        match tag.local() {
            "FaultCode" => {
                let text = xml.trimmed()?;
                found.code = found.code.or_else(|| fault_code(&text));
            }
            "FaultString" => {
                let text = xml.trimmed()?;
                found.hint = found.hint.or_else(|| cpe_code_in(&text));
                found.message = Some(text);
            }
            "faultstring" => {
                found.soap_message = xml.trimmed()?;
                found.hint = found.hint.or_else(|| cpe_code_in(&found.soap_message));
            }
            "SetParameterValuesFault" => parameter_fault(xml, found)?,
            _ => gather(xml, found)?,
        }
    }
}

/// `SetParameterValuesFault`: one parameter, or a wrapper around several.
fn parameter_fault<'a>(xml: &mut XmlReader<'a, '_>, found: &mut Findings<'a>) -> Result<(), DecodeError> {
    let mut name = Text::default();
    let mut code = None;
    let mut message = Text::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ParameterName" => name = xml.trimmed()?,
            "FaultCode" => code = fault_code(&xml.trimmed()?),
            "FaultString" => message = xml.trimmed()?,
            _ => parameter_fault(xml, found)?,
        }
    }
    if !name.is_empty() {
        let code = code.map_or(CpeFaultCode::INTERNAL_ERROR, CpeFaultCode);
        xml.push(&mut found.parameters, ParameterFault { name, code, message })?;
    }
    Ok(())
}

/// Reads `FaultStruct` or the `OpFaultStruct` of deployment units: a code of 0, or none at all, means success.
pub(super) fn decode_struct<'a>(xml: &mut XmlReader<'a, '_>) -> Result<FaultStruct<'a>, DecodeError> {
    let mut fault = FaultStruct::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "FaultCode" => {
                let text = xml.trimmed()?;
                fault.code = match &*text {
                    "" | "0" | "(null)" => 0,
                    // Words in place of a number are no success.
                    text => fault_code(text).unwrap_or_else(|| u16::from(unsigned(text) != Some(0)) * 9002),
                };
            }
            "FaultString" => fault.message = xml.trimmed()?,
            "FaultStruct" => fault = decode_struct(xml)?,
            _ => xml.skip()?,
        }
    }
    Ok(fault)
}

/// The code that the text starts with or has somewhere in it; 0 is none.
fn fault_code(text: &str) -> Option<u16> {
    let leading = unsigned(text).and_then(|code| u16::try_from(code).ok()).filter(|code| *code != 0);
    leading.or_else(|| cpe_code_in(text))
}

/// The first number of four digits that starts with 9.
fn cpe_code_in(text: &str) -> Option<u16> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() == 4 && digits.starts_with('9'))
        .find_map(|digits| digits.parse().ok())
}

/// Writes the content of the SOAP body for a fault (cwmp.md §2.3).
pub(super) fn encode(xml: &mut XmlWriter<'_>, fault: &Fault<'_>) {
    let envelope = xml.soap.envelope;
    xml.raw("<");
    xml.raw(envelope);
    xml.raw(":Fault><faultcode>");
    xml.raw(soap_code(fault.code));
    xml.raw("</faultcode><faultstring>CWMP fault</faultstring><detail>");
    xml.element("cwmp:Fault", |xml| {
        xml.number("FaultCode", fault.code);
        xml.text("FaultString", &fault.message);
        for parameter in &fault.parameters {
            xml.element("SetParameterValuesFault", |xml| {
                xml.text("ParameterName", &parameter.name);
                xml.number("FaultCode", parameter.code);
                xml.text("FaultString", &parameter.message);
            });
        }
    });
    xml.raw("</detail></");
    xml.raw(envelope);
    xml.raw(":Fault>");
}

/// Writes a `FaultStruct` under the name that its place gives it.
pub(super) fn encode_struct(xml: &mut XmlWriter<'_>, name: &str, fault: &FaultStruct<'_>) {
    xml.element(name, |xml| {
        xml.number("FaultCode", fault.code);
        xml.text("FaultString", &fault.message);
    });
}

/// Whose fault it is, in SOAP's words (A.5.1, A.5.2).
fn soap_code(code: CpeFaultCode) -> &'static str {
    if let Some(fault) = AcsFault::ALL.into_iter().find(|fault| fault.code() == code.0) {
        return fault.soap_code();
    }
    match code.0 {
        9003 | 9005..=9008 | 9022 => "Client",
        _ => "Server",
    }
}
