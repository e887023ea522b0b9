//! Reading what an ACS sends: the envelope, its headers, and what is wrong with them.

use super::config::CpeVersion;
use super::envelope::{SOAP_ENCODING, SOAP_ENVELOPE, XML_SCHEMA, XML_SCHEMA_INSTANCE};
use super::report::{Rule, Violation};
use super::schema;
use super::xml::{self, Element};

/// A message from the ACS.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub(super) id: Option<String>,
    /// `HoldRequests`.
    pub(super) hold: bool,
    /// `UseCWMPVersion`.
    pub(super) chosen_version: Option<String>,
    pub(super) payload: Payload<'a>,
}

/// The child of the body.
#[derive(Debug)]
pub(super) enum Payload<'a> {
    /// A request, or a response to one.
    Message(Element<'a>),
    /// A fault, by its `FaultCode`.
    Fault(u32),
}

/// The text is no SOAP envelope with one message in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAnEnvelope;

/// Reads a message and notes every rule it breaks.
pub(super) fn read<'a>(
    text: &'a str,
    version: CpeVersion,
    violations: &mut Vec<Violation>,
) -> Result<Incoming<'a>, NotAnEnvelope> {
    let mut note = |rule, detail: String| violations.push(Violation { rule, detail });
    let document = xml::parse(text).map_err(|error| {
        note(Rule::Xml, error.to_string());
        NotAnEnvelope
    })?;
    if let Some(declaration) = document.declaration
        && !declaration.contains("version=\"1.0\"")
    {
        note(Rule::Xml, format!("XML declaration <?xml {declaration}?>"));
    }
    let mut root = document.root;
    if root.local != "Envelope" || root.namespace != SOAP_ENVELOPE {
        note(Rule::Envelope, format!("the root is <{}> in {:?}", root.local, root.namespace));
        return Err(NotAnEnvelope);
    }
    check_namespaces(&root, version, &mut note);
    let Some(at) = root.children.iter().position(|child| child.local == "Body") else {
        note(Rule::Envelope, "no Body".to_owned());
        return Err(NotAnEnvelope);
    };
    let mut body = root.children.swap_remove(at);
    let mut incoming = Incoming { id: None, hold: false, chosen_version: None, payload: Payload::Fault(0) };
    for child in &root.children {
        if child.local == "Header" && child.namespace == SOAP_ENVELOPE {
            read_headers(child, version, &mut incoming, &mut note);
        } else {
            note(Rule::Envelope, format!("<{}> beside the Body", child.local));
        }
    }
    if body.children.len() != 1 {
        note(Rule::Envelope, format!("the Body has {} children", body.children.len()));
    }
    if body.children.is_empty() {
        return Err(NotAnEnvelope);
    }
    let message = body.children.swap_remove(0);
    if message.local == "Fault" && message.namespace == SOAP_ENVELOPE {
        incoming.payload = Payload::Fault(read_fault(&message, version, &mut note)?);
        return Ok(incoming);
    }
    if message.prefix != "cwmp" || message.namespace != version.namespace() {
        note(Rule::Envelope, format!("<{}:{}> in {:?}", message.prefix, message.local, message.namespace));
    }
    // A request that no schema knows is answered with 9000, not held against the ACS.
    let is_response = message.local.ends_with("Response");
    if is_response || schema::known_method(message.local).is_some() {
        schema::check(&message, &mut |detail| note(Rule::Schema, format!("{}: {detail}", message.local)));
    }
    incoming.payload = Payload::Message(message);
    Ok(incoming)
}

/// All five prefixes on the Envelope itself, `cwmp` bound to the namespace of the Inform (cwmp.md §2.1).
fn check_namespaces(root: &Element<'_>, version: CpeVersion, note: &mut dyn FnMut(Rule, String)) {
    for uri in [SOAP_ENVELOPE, SOAP_ENCODING, XML_SCHEMA, XML_SCHEMA_INSTANCE, version.namespace()] {
        if !root.declared.iter().any(|(_, declared)| declared == uri) {
            note(Rule::Envelope, format!("the Envelope does not declare {uri}"));
        }
    }
    let cwmp = root.declared.iter().find(|(prefix, _)| *prefix == "cwmp");
    if cwmp.is_none_or(|(_, uri)| uri != version.namespace()) {
        note(Rule::Envelope, format!("the prefix cwmp is not bound to {}", version.namespace()));
    }
    if root.declared.iter().any(|(prefix, _)| prefix.is_empty()) {
        note(Rule::Envelope, "the Envelope declares a default namespace".to_owned());
    }
}

fn read_headers(
    header: &Element<'_>,
    version: CpeVersion,
    incoming: &mut Incoming<'_>,
    note: &mut dyn FnMut(Rule, String),
) {
    for child in &header.children {
        let must_understand = child.attribute(SOAP_ENVELOPE, "mustUnderstand");
        if child.prefix != "cwmp" {
            note(Rule::Header, format!("<{}> lacks the prefix cwmp", child.local));
        }
        match child.local {
            "ID" => {
                if child.text.chars().count() > 32 {
                    note(Rule::Header, "the ID is longer than 32 characters".to_owned());
                }
                incoming.id = Some(child.text.clone().into_owned());
            }
            "HoldRequests" => match &*child.text {
                "1" | "true" => incoming.hold = true,
                "0" | "false" => {}
                other => note(Rule::Header, format!("HoldRequests {other:?}")),
            },
            "UseCWMPVersion" => {
                if version < CpeVersion::V1_4 {
                    note(Rule::Header, format!("UseCWMPVersion for a CPE that speaks {version}"));
                } else if child.text.parse::<CpeVersion>().is_err() {
                    note(Rule::Header, format!("UseCWMPVersion {:?} was not offered", child.text));
                }
                incoming.chosen_version = Some(child.text.clone().into_owned());
            }
            other => {
                note(Rule::Header, format!("<{other}> is no header that an ACS sends"));
                continue;
            }
        }
        if must_understand != Some("1") {
            note(Rule::Header, format!("<{}> needs mustUnderstand=\"1\"", child.local));
        }
    }
}

fn read_fault(
    fault: &Element<'_>,
    version: CpeVersion,
    note: &mut dyn FnMut(Rule, String),
) -> Result<u32, NotAnEnvelope> {
    let order: Vec<&str> = fault.children.iter().map(|child| child.local).collect();
    if order != ["faultcode", "faultstring", "detail"] {
        note(Rule::Schema, format!("a SOAP fault of {order:?}"));
    }
    let code = fault.child_text("faultcode");
    if !matches!(code.rsplit(':').next(), Some("Client" | "Server")) {
        note(Rule::Schema, format!("faultcode {code:?}"));
    }
    if fault.child_text("faultstring") != "CWMP fault" {
        note(Rule::Schema, "faultstring is not \"CWMP fault\"".to_owned());
    }
    let Some(detail) = fault.child("detail").and_then(|detail| detail.child("Fault")) else {
        note(Rule::Schema, "a SOAP fault without cwmp:Fault".to_owned());
        return Err(NotAnEnvelope);
    };
    if detail.prefix != "cwmp" || detail.namespace != version.namespace() {
        note(Rule::Envelope, format!("<{}:Fault> in {:?}", detail.prefix, detail.namespace));
    }
    let text = detail.child_text("FaultCode");
    match text.parse::<u32>() {
        Ok(code) if (8000..9000).contains(&code) => Ok(code),
        _ => {
            note(Rule::Schema, format!("an ACS fault of code {text:?}"));
            Err(NotAnEnvelope)
        }
    }
}
