//! Writing what a CPE sends.

use std::fmt::Write as _;

use super::config::{CpeConfig, CpeVersion};
use super::misbehave::Misbehaviour;
use super::xml::escape_into;
use crate::types::value::XsdType;

pub(super) const SOAP_ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(super) const SOAP_ENCODING: &str = "http://schemas.xmlsoap.org/soap/encoding/";
pub(super) const XML_SCHEMA: &str = "http://www.w3.org/2001/XMLSchema";
pub(super) const XML_SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// How this CPE's firmware writes XML.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    soap: &'static str,
    encoding: &'static str,
    cwmp: &'static str,
    qualified_arguments: bool,
    types: bool,
    self_closing: bool,
    declaration: bool,
    indented: bool,
    version: CpeVersion,
}

impl Style {
    pub(super) fn of(config: &CpeConfig) -> Self {
        let odd = config.has(&Misbehaviour::OddPrefixes);
        let (soap, encoding, cwmp) = if odd { ("s", "e", "n1") } else { ("soap-env", "soap-enc", "cwmp") };
        Self {
            soap,
            encoding,
            cwmp,
            qualified_arguments: odd,
            types: !config.has(&Misbehaviour::NoTypes),
            self_closing: config.has(&Misbehaviour::SelfClosing),
            declaration: !config.has(&Misbehaviour::NoDeclaration),
            indented: config.has(&Misbehaviour::Indented),
            version: config.version,
        }
    }

    /// A whole message: `headers` and `body` were made by a [`Writer`] of the same style.
    pub(super) fn envelope(&self, headers: &str, body: &str) -> String {
        let Self { soap, encoding, cwmp, .. } = self;
        let namespace = self.version.namespace();
        let gap = if self.indented { "\r\n  " } else { "" };
        let mut out = String::with_capacity(512 + headers.len() + body.len());
        if self.indented && !self.declaration {
            out.push_str("\r\n");
        }
        if self.declaration {
            out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        }
        // Writing to a string cannot fail.
        let _infallible = write!(
            out,
            "{gap}<{soap}:Envelope xmlns:{soap}=\"{SOAP_ENVELOPE}\" xmlns:{encoding}=\"{SOAP_ENCODING}\" \
             xmlns:xsd=\"{XML_SCHEMA}\" xmlns:xsi=\"{XML_SCHEMA_INSTANCE}\" xmlns:{cwmp}=\"{namespace}\">"
        );
        if !headers.is_empty() {
            let _infallible = write!(out, "{gap}<{soap}:Header>{headers}{gap}</{soap}:Header>");
        }
        let _infallible = write!(out, "{gap}<{soap}:Body>{body}{gap}</{soap}:Body>{gap}</{soap}:Envelope>");
        out
    }

    /// The `ID` header, or none.
    pub(super) fn id_header(&self, id: Option<&str>) -> String {
        let Some(id) = id else { return String::new() };
        let Self { soap, cwmp, .. } = self;
        let mut out = format!("<{cwmp}:ID {soap}:mustUnderstand=\"1\">");
        escape_into(&mut out, id);
        let _infallible = write!(out, "</{cwmp}:ID>");
        out
    }

    /// The headers of an Inform: those that tell the version apart (TR-069 §3.7.4).
    pub(super) fn inform_headers(&self, id: &str) -> String {
        let Self { soap, cwmp, .. } = self;
        let mut out = self.id_header(Some(id));
        if self.version >= CpeVersion::V1_3 {
            let _infallible =
                write!(out, "<{cwmp}:SessionTimeout {soap}:mustUnderstand=\"0\">60</{cwmp}:SessionTimeout>");
        }
        if self.version >= CpeVersion::V1_4 {
            let all: Vec<&str> = CpeVersion::ALL.iter().map(|version| version.as_str()).collect();
            let _infallible = write!(
                out,
                "<{cwmp}:SupportedCWMPVersions {soap}:mustUnderstand=\"0\">{}</{cwmp}:SupportedCWMPVersions>",
                all.join(",")
            );
        }
        out
    }

    /// The body of a SOAP fault (TR-069 §3.5, A.5.1).
    pub(super) fn fault(&self, fault: &CpeFault) -> String {
        let Self { soap, cwmp, .. } = self;
        let mut out = format!(
            "<{soap}:Fault><faultcode>{}</faultcode><faultstring>CWMP fault</faultstring><detail><{cwmp}:Fault>",
            if matches!(fault.code, 9003 | 9005..=9008) { "Client" } else { "Server" }
        );
        let mut writer = Writer { out: String::new(), style: Self { qualified_arguments: false, ..*self } };
        writer.leaf("FaultCode", &fault.code.to_string());
        writer.leaf("FaultString", fault_text(fault.code));
        for (path, code) in &fault.parameters {
            writer.open("SetParameterValuesFault");
            writer.leaf("ParameterName", path);
            writer.leaf("FaultCode", &code.to_string());
            writer.leaf("FaultString", fault_text(*code));
            writer.close("SetParameterValuesFault");
        }
        out.push_str(&writer.out);
        let _infallible = write!(out, "</{cwmp}:Fault></detail></{soap}:Fault>");
        out
    }

    /// The element of an RPC or of its response.
    pub(super) fn message(&self, name: &str, arguments: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer { out: format!("<{}:{name}>", self.cwmp), style: *self };
        arguments(&mut writer);
        let _infallible = write!(writer.out, "</{}:{name}>", self.cwmp);
        writer.out
    }
}

/// A fault that the CPE answers with (TR-069 A.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CpeFault {
    pub(super) code: u16,
    /// `SetParameterValuesFault` entries: path and code.
    pub(super) parameters: Vec<(String, u16)>,
}

impl CpeFault {
    pub(super) const fn new(code: u16) -> Self {
        Self { code, parameters: Vec::new() }
    }
}

/// The standard's words for a fault.
pub(super) const fn fault_text(code: u16) -> &'static str {
    match code {
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
        9014 => "Unable to join multicast group",
        9015 => "Unable to contact file server",
        9016 => "Unable to access file",
        9017 => "Unable to complete download",
        9018 => "File corrupted",
        9019 => "File authentication failure",
        9020 => "Unable to complete download within specified time windows",
        9021 => "Cancelation of file transfer not permitted in current transfer state",
        9022 => "Invalid UUID format",
        9023 => "Unknown execution environment",
        9026 => "Duplicate deployment unit",
        9027 => "System resources exceeded",
        9028 => "Unknown deployment unit",
        _ => "Fault",
    }
}

/// Writes the arguments of one message.
#[derive(Debug)]
pub(super) struct Writer {
    out: String,
    style: Style,
}

impl Writer {
    pub(super) fn open(&mut self, name: &str) {
        self.tag(name, "");
    }

    pub(super) fn close(&mut self, name: &str) {
        let prefix = self.prefix();
        let _infallible = write!(self.out, "</{prefix}{name}>");
    }

    /// One argument with its text.
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.leaf_with(name, "", text);
    }

    /// A `Value` with its `xsi:type`.
    pub(super) fn value(&mut self, ty: XsdType, text: &str) {
        if self.style.types {
            self.leaf_with("Value", &format!(" xsi:type=\"{}\"", ty.qualified()), text);
        } else {
            self.leaf("Value", text);
        }
    }

    /// A SOAP array of `cwmp:` structures or `xsd:` simple types; `item_type` comes with its prefix.
    pub(super) fn array(&mut self, name: &str, item_type: &str, count: usize, items: impl FnOnce(&mut Self)) {
        if self.style.types {
            let item_type = match item_type.strip_prefix("cwmp:") {
                Some(local) => format!("{}:{local}", self.style.cwmp),
                None => item_type.to_owned(),
            };
            let attribute = format!(" {}:arrayType=\"{item_type}[{count}]\"", self.style.encoding);
            self.tag(name, &attribute);
        } else {
            self.open(name);
        }
        items(self);
        self.close(name);
    }

    /// `ParameterValueStruct`.
    pub(super) fn parameter(&mut self, path: &str, ty: XsdType, value: &str) {
        self.open("ParameterValueStruct");
        self.leaf("Name", path);
        self.value(ty, value);
        self.close("ParameterValueStruct");
    }

    fn leaf_with(&mut self, name: &str, attributes: &str, text: &str) {
        if text.is_empty() && self.style.self_closing {
            let prefix = self.prefix();
            let _infallible = write!(self.out, "<{prefix}{name}{attributes}/>");
            return;
        }
        self.tag(name, attributes);
        escape_into(&mut self.out, text);
        self.close(name);
    }

    fn tag(&mut self, name: &str, attributes: &str) {
        if self.style.indented {
            self.out.push_str("\r\n    ");
        }
        let prefix = self.prefix();
        let _infallible = write!(self.out, "<{prefix}{name}{attributes}>");
    }

    const fn prefix(&self) -> &'static str {
        if self.style.qualified_arguments { "n1:" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::xml;

    #[test]
    fn every_habit_still_writes_well_formed_xml() {
        let habits =
            [Misbehaviour::OddPrefixes, Misbehaviour::NoTypes, Misbehaviour::SelfClosing, Misbehaviour::NoDeclaration];
        for habit in habits {
            let config = CpeConfig::new("http://acs/").misbehave(habit.clone());
            let style = Style::of(&config);
            let body = style.message("GetParameterValuesResponse", |writer| {
                writer.array("ParameterList", "cwmp:ParameterValueStruct", 1, |writer| {
                    writer.parameter("Device.X", XsdType::String, "");
                });
            });
            let text = style.envelope(&style.inform_headers("1"), &body);
            let document = xml::parse(text.trim_start()).expect("well-formed");
            assert_eq!(document.root.namespace, SOAP_ENVELOPE, "{habit:?}");
            assert_eq!(document.declaration.is_none(), habit == Misbehaviour::NoDeclaration);
        }
    }
}
