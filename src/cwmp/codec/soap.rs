//! The envelope: its namespaces, the header elements (TR-069 §3.5, Table 4) and what stands in the body.

use smallvec::SmallVec;

use crate::cwmp::emission::{Declaration, Emission};
use crate::cwmp::message::{Body, Envelope, Header, Text};
use crate::cwmp::version::{CwmpVersion, Namespace};

use super::reader::{Node, Tag, XmlReader};
use super::rpc::{self, Rpc};
use super::writer::XmlWriter;
use super::{DecodeError, Limits, fault};

/// Reads one envelope. The text is that of [`to_text`](super::to_text); blanks alone are an empty body.
///
/// # Errors
/// [`DecodeError`] when it is not an envelope within the limits and the tolerances that the module lists.
pub fn decode<'a>(text: &'a str, limits: &Limits) -> Result<Envelope<'a>, DecodeError> {
    let text = text.trim();
    let mut xml = XmlReader::new(text, limits);
    let mut parts = Parts::default();
    if !text.is_empty() {
        let root = root(&mut xml)?;
        parts.namespaces.declare(&root);
        match root.local() {
            "Envelope" => envelope(&mut xml, &mut parts)?,
            "Body" => parts.body = Some(body(&mut xml, &mut parts.namespaces)?),
            name if is_method(name) => parts.body = Some(method(&mut xml, &root)?),
            name => return Err(DecodeError::not_an_envelope(name)),
        }
    }
    Ok(Envelope {
        declaration: declaration(text),
        namespace: parts.namespaces.found,
        header: parts.header,
        body: parts.body.unwrap_or(Body::Empty),
    })
}

/// Writes one envelope to the end of `out`, as the emission profile and cwmp.md §2.1 have it.
///
/// Whatever a message holds, what is written is well-formed; whether it is also valid is up to the message.
pub fn encode(header: &Header<'_>, body: &Body<'_>, emission: &Emission, out: &mut Vec<u8>) {
    out.reserve(1024);
    let mut xml = XmlWriter::new(*emission, out);
    let (envelope, encoding) = (xml.soap.envelope, xml.soap.encoding);
    match emission.declaration {
        Declaration::Absent => {}
        Declaration::Plain => xml.raw("<?xml version=\"1.0\"?>"),
        Declaration::WithEncoding => xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
    }
    for piece in ["<", envelope, ":Envelope xmlns:", envelope, "=\"", ENVELOPE_URI, "\" xmlns:", encoding, "=\""] {
        xml.raw(piece);
    }
    xml.raw(ENCODING_URI);
    xml.raw(
        "\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
    );
    xml.raw(" xmlns:cwmp=\"");
    xml.raw(emission.namespace.uri());
    xml.raw("\">");
    encode_header(&mut xml, header);
    for piece in ["<", envelope, ":Body"] {
        xml.raw(piece);
    }
    if emission.encoding_style {
        for piece in [" ", envelope, ":encodingStyle=\"", ENCODING_URI, "\""] {
            xml.raw(piece);
        }
    }
    xml.raw(">");
    match body {
        Body::Empty => {}
        Body::Request(request) => rpc::encode_request(&mut xml, request),
        Body::Response(response) => rpc::encode_response(&mut xml, response),
        Body::Fault(it) => fault::encode(&mut xml, it),
        Body::Unknown(name) => encode_unknown(&mut xml, name),
    }
    for piece in ["</", envelope, ":Body></", envelope, ":Envelope>"] {
        xml.raw(piece);
    }
}

const ENVELOPE_URI: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const ENCODING_URI: &str = "http://schemas.xmlsoap.org/soap/encoding/";

/// What was read of an envelope so far.
#[derive(Default)]
struct Parts<'a> {
    namespaces: Namespaces<'a>,
    header: Header<'a>,
    body: Option<Body<'a>>,
}

/// The declarations of CWMP namespaces on the way to the method, and the one that the method is in.
#[derive(Default)]
struct Namespaces<'a> {
    declared: SmallVec<[(&'a str, Namespace); 2]>,
    found: Option<Namespace>,
}

impl<'a> Namespaces<'a> {
    /// Notes what a tag declares, and which CWMP namespace the tag itself is in. Where its prefix is bound to none, any
    /// declared one serves (quirk 1).
    fn declare(&mut self, tag: &Tag<'a>) {
        for (key, value) in tag.attributes() {
            let prefix = match key.strip_prefix("xmlns") {
                Some("") => "",
                Some(rest) => rest.strip_prefix(':').unwrap_or(rest),
                None => continue,
            };
            if let Some(namespace) = Namespace::parse(value) {
                self.declared.push((prefix, namespace));
            }
        }
        let own = self.declared.iter().rev().find(|(prefix, _)| *prefix == tag.prefix());
        self.found = own.map(|(_, namespace)| *namespace).or(self.found).or(self.declared.first().map(|(_, ns)| *ns));
    }
}

/// The first element. In front of it only the declaration, comments and blanks may stand.
fn root<'a>(xml: &mut XmlReader<'a, '_>) -> Result<Tag<'a>, DecodeError> {
    loop {
        match xml.next()? {
            Node::Child(tag) => return Ok(tag),
            Node::Text(text) if text.trim().is_empty() => {}
            Node::Text(_) | Node::Reference(_) | Node::End => return Err(DecodeError::TextBeforeRoot),
        }
    }
}

fn envelope<'a>(xml: &mut XmlReader<'a, '_>, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    let mut other = None;
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Header" => {
                parts.namespaces.declare(&tag);
                header(xml, &mut parts.header)?;
            }
            "Body" if parts.body.is_none() => {
                parts.namespaces.declare(&tag);
                parts.body = Some(body(xml, &mut parts.namespaces)?);
            }
            name => {
                other = Some(name);
                xml.skip()?;
            }
        }
    }
    match other {
        Some(name) if parts.body.is_none() => Err(DecodeError::no_body(name)),
        _ => Ok(()),
    }
}

fn header<'a>(xml: &mut XmlReader<'a, '_>, header: &mut Header<'a>) -> Result<(), DecodeError> {
    while let Some(tag) = xml.child()? {
        match tag.local() {
            // Echoed as it came, so nothing is trimmed.
            "ID" => header.id = Some(xml.text()?).filter(|id| !id.trim().is_empty()),
            "HoldRequests" => header.hold_requests = Some(xml.boolean()?),
            "SessionTimeout" => header.session_timeout_secs = xml.number()?,
            "SupportedCWMPVersions" => {
                header.supported_versions = Some(xml.trimmed()?).filter(|versions| !versions.is_empty());
            }
            "UseCWMPVersion" => header.use_version = CwmpVersion::parse(&xml.trimmed()?),
            _ => xml.skip()?,
        }
    }
    Ok(())
}

/// The first element of the body; what follows it is passed over (quirk 48).
fn body<'a>(xml: &mut XmlReader<'a, '_>, namespaces: &mut Namespaces<'a>) -> Result<Body<'a>, DecodeError> {
    let Some(tag) = xml.child()? else { return Ok(Body::Empty) };
    namespaces.declare(&tag);
    let body = method(xml, &tag)?;
    while xml.child()?.is_some() {
        xml.skip()?;
    }
    Ok(body)
}

fn is_method(local: &str) -> bool {
    local == "Fault" || Rpc::by_name(local).is_some()
}

fn method<'a>(xml: &mut XmlReader<'a, '_>, tag: &Tag<'a>) -> Result<Body<'a>, DecodeError> {
    match (tag.local(), Rpc::by_name(tag.local())) {
        ("Fault", _) => fault::decode(xml).map(Body::Fault),
        (_, Some(Rpc::Request(method))) => rpc::decode_request(xml, method).map(Body::Request),
        (_, Some(Rpc::Response(method))) => rpc::decode_response(xml, method).map(Body::Response),
        (name, None) => xml.skip().map(|()| Body::Unknown(Text::Borrowed(name))),
    }
}

/// How the XML declaration looks, if there is one.
fn declaration(text: &str) -> Declaration {
    match text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
        Some((declaration, _)) if declaration.contains("encoding") => Declaration::WithEncoding,
        Some(_) => Declaration::Plain,
        None => Declaration::Absent,
    }
}

/// Nothing at all when no element is to be sent: the header is optional in SOAP.
fn encode_header(xml: &mut XmlWriter<'_>, header: &Header<'_>) {
    if *header == Header::default() {
        return;
    }
    let envelope = xml.soap.envelope;
    for piece in ["<", envelope, ":Header>"] {
        xml.raw(piece);
    }
    if let Some(id) = &header.id {
        header_element(xml, "cwmp:ID", "1", id);
    }
    if let Some(hold) = header.hold_requests {
        header_element(xml, "cwmp:HoldRequests", "1", if hold { "1" } else { "0" });
    }
    if let Some(secs) = header.session_timeout_secs {
        header_element(xml, "cwmp:SessionTimeout", "0", &secs.to_string());
    }
    if let Some(versions) = &header.supported_versions {
        header_element(xml, "cwmp:SupportedCWMPVersions", "0", versions);
    }
    if let Some(version) = header.use_version {
        header_element(xml, "cwmp:UseCWMPVersion", "1", version.as_str());
    }
    for piece in ["</", envelope, ":Header>"] {
        xml.raw(piece);
    }
}

fn header_element(xml: &mut XmlWriter<'_>, name: &str, must_understand: &str, text: &str) {
    let envelope = xml.soap.envelope;
    for piece in ["<", name, " ", envelope, ":mustUnderstand=\"", must_understand, "\">"] {
        xml.raw(piece);
    }
    xml.escaped(text);
    xml.end(name);
}

/// A method of a vendor's, without arguments. Characters that no element name has are left out.
fn encode_unknown(xml: &mut XmlWriter<'_>, name: &str) {
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = name.chars().filter(fits).collect();
    xml.element(&format!("cwmp:{name}"), |_| {});
}
