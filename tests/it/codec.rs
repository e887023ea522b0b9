//! The codec: fixtures in and out, quirks one by one, round trips, and every emitted envelope against our schemas.

mod emission;
pub(crate) mod fixtures;
mod hostile;
mod quirks;
mod roundtrip;
pub(crate) mod samples;
pub(crate) mod schema;

use acsd::cwmp::codec::{Limits, decode, to_text};
use acsd::cwmp::emission::Emission;
use acsd::cwmp::message::inform::Inform;
use acsd::cwmp::message::{Body, Envelope, Fault, Header, Request, Response};
use acsd::cwmp::version::{CwmpVersion, Namespace};

/// Decodes what has to be decodable.
fn read(text: &str) -> Envelope<'_> {
    decode(text, &Limits::default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Encodes into a string.
fn write(header: &Header<'_>, body: &Body<'_>, emission: &Emission) -> String {
    let mut out = Vec::new();
    acsd::cwmp::codec::encode(header, body, emission, &mut out);
    String::from_utf8(out).expect("the encoder writes UTF-8")
}

/// An emission in the namespace of a version, everything else by default.
fn emission(version: CwmpVersion) -> Emission {
    Emission { namespace: version.namespace(), ..Emission::default() }
}

/// A whole envelope around the content of a body.
fn envelope(body: &str) -> String {
    format!(
        r#"<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cwmp="urn:dslforum-org:cwmp-1-0"><SOAP-ENV:Header><cwmp:ID SOAP-ENV:mustUnderstand="1">7</cwmp:ID></SOAP-ENV:Header><SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>"#
    )
}

fn inform(text: &str) -> Inform<'_> {
    match read(text).body {
        Body::Request(Request::Inform(inform)) => inform,
        other => panic!("no Inform: {other:?}"),
    }
}

fn response(text: &str) -> Response<'_> {
    match read(text).body {
        Body::Response(response) => response,
        other => panic!("no response: {other:?}"),
    }
}

fn fault(text: &str) -> Fault<'_> {
    match read(text).body {
        Body::Fault(fault) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

#[test]
fn the_namespace_is_that_of_the_method() {
    let text = |declarations: &str, method: &str| {
        format!("<s:Envelope {declarations}><s:Body><{method}></{method}></s:Body></s:Envelope>")
    };
    let table = [
        (r#"xmlns:cwmp="urn:dslforum-org:cwmp-1-0""#, "cwmp:GetRPCMethods", Some(Namespace::Cwmp1_0)),
        (r#"xmlns:tr069="urn:dslforum-org:cwmp-1-2""#, "tr069:GetRPCMethods", Some(Namespace::Cwmp1_2)),
        (
            r#"xmlns:a="urn:dslforum-org:cwmp-1-0" xmlns:b="urn:dslforum-org:cwmp-1-1""#,
            "b:GetRPCMethods",
            Some(Namespace::Cwmp1_1),
        ),
        (r"xmlns:cwmp='urn:dslforum-org:cwmp-1-4'", "GetRPCMethods", Some(Namespace::Cwmp1_4)),
        (r#"xmlns:cwmp="urn:example""#, "cwmp:GetRPCMethods", None),
    ];
    for (declarations, method, want) in table {
        assert_eq!(read(&text(declarations, method)).namespace, want, "{declarations}");
    }
}

#[test]
fn the_header_is_read() {
    let text = r#"<e:Envelope xmlns:cwmp="urn:dslforum-org:cwmp-1-2"><e:Header>
        <cwmp:ID e:mustUnderstand="1"> a&amp;b </cwmp:ID>
        <cwmp:NoMoreRequests>1</cwmp:NoMoreRequests>
        <cwmp:HoldRequests e:mustUnderstand="1">true</cwmp:HoldRequests>
        <cwmp:SessionTimeout> 40
        </cwmp:SessionTimeout>
        <cwmp:SupportedCWMPVersions>1.0, 1.1,1.2</cwmp:SupportedCWMPVersions>
        <cwmp:UseCWMPVersion e:mustUnderstand="1">1.2</cwmp:UseCWMPVersion>
        </e:Header><e:Body/></e:Envelope>"#;
    let header = read(text).header;
    assert_eq!(header.id.as_deref(), Some(" a&b "), "an ID is echoed, so nothing is trimmed");
    assert_eq!(header.hold_requests, Some(true));
    assert_eq!(header.session_timeout_secs, Some(40));
    assert_eq!(header.supported_versions.as_deref(), Some("1.0, 1.1,1.2"));
    assert_eq!(header.use_version, Some(CwmpVersion::V1_2));
}

#[test]
fn a_plain_inform_is_borrowed_from_its_text() {
    use std::borrow::Cow;
    let text = include_str!("../../fixtures/zte/inform-periodic.xml");
    let Body::Request(Request::Inform(inform)) = read(text).body else { panic!("an Inform") };
    let texts = inform.parameters.iter().flat_map(|parameter| [&parameter.name, &parameter.value]);
    let texts = texts.chain(inform.events.iter().flat_map(|event| [&event.raw_code, &event.command_key]));
    let texts = texts.chain([&inform.current_time, &inform.device_id.serial_number]);
    for text in texts {
        assert!(matches!(text, Cow::Borrowed(_)), "{text:?} was copied");
    }
    // Bodies come as bytes: they are not copied either.
    assert!(matches!(to_text(text.as_bytes(), Some("utf-8")), Cow::Borrowed(_)));
}
