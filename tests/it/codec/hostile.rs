//! Input that is broken or meant to break: refused for the right reason, or read as the tolerances say, and cheap.

use std::path::Path;

use acsd::cwmp::codec::DecodeErrorKind::{Doctype, Limit, Malformed, NotSoap, NotXml, Truncated};
use acsd::cwmp::codec::{DecodeError, DecodeErrorKind, Limits, decode, to_text};
use acsd::cwmp::message::{Body, Envelope, Request, Response};

use super::envelope;

/// Reads a fixture and hands the outcome to `check`.
fn with_fixture<T>(name: &str, check: impl FnOnce(Result<Envelope<'_>, DecodeError>) -> T) -> T {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile").join(name);
    let body = std::fs::read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = to_text(&body, None);
    check(decode(&text, &Limits::default()))
}

const REFUSED: [(&str, DecodeErrorKind); 20] = [
    ("bare-angle-brackets.xml", Limit),
    ("binary.xml", NotXml),
    ("comment-only.xml", NotXml),
    ("crossed-tags.xml", Malformed),
    ("deep-fault.xml", Limit),
    ("deep-nesting.xml", Limit),
    ("entity-bomb.xml", Doctype),
    ("envelope-without-body.xml", NotSoap),
    ("external-entity.xml", Doctype),
    ("html-page.xml", NotSoap),
    ("http-request-inside.xml", NotXml),
    ("not-xml.xml", NotXml),
    ("parameter-entity.xml", Doctype),
    ("truncated-before-the-last-tag.xml", Truncated),
    ("truncated-cdata.xml", Truncated),
    ("truncated-in-attribute.xml", Truncated),
    ("truncated-in-tag.xml", Truncated),
    ("truncated-in-text.xml", Truncated),
    ("unclosed-comment.xml", Truncated),
    ("wrong-end-tag.xml", Malformed),
];

/// Read as an Inform from this manufacturer, with this serial number.
const READ: [(&str, &str, &str); 13] = [
    ("absurd-counts.xml", "M", "S1"),
    ("broken-utf8.xml", "Ã(ÿ", "S1"),
    ("control-characters.xml", "M", "S\u{7f}1"),
    ("duplicate-attributes.xml", "M", "S1"),
    ("duplicate-elements.xml", "M", "S2"),
    ("many-attributes.xml", "M", "S1"),
    ("nul-bytes.xml", "M", "S1"),
    ("says-nonsense.xml", "M", "S1"),
    ("says-utf16-is-utf8.xml", "Müller", "S1"),
    ("says-utf8-is-latin1.xml", "Müller", "S1"),
    ("two-bodies.xml", "M", "S1"),
    ("undeclared-entity.xml", "M", "S&xxe;1"),
    ("utf16-little-endian.xml", "Müller", "S1"),
];

#[test]
fn hostile_fixtures_are_refused_for_the_right_reason() {
    for (name, kind) in REFUSED {
        with_fixture(name, |outcome| match outcome {
            Err(error) => assert_eq!(error.kind(), kind, "{name}: {error}"),
            Ok(envelope) => panic!("{name} was read: {envelope:?}"),
        });
    }
}

#[test]
fn odd_fixtures_are_read_as_the_tolerances_say() {
    for (name, manufacturer, serial) in READ {
        with_fixture(name, |outcome| match outcome.unwrap_or_else(|error| panic!("{name}: {error}")).body {
            Body::Request(Request::Inform(inform)) => {
                let read = (&*inform.device_id.manufacturer, &*inform.device_id.serial_number);
                assert_eq!(read, (manufacturer, serial), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        });
    }
    with_fixture("soap12-fault.xml", |outcome| match outcome.unwrap().body {
        Body::Fault(fault) => assert_eq!(fault.code.0, 9002),
        other => panic!("{other:?}"),
    });
}

#[test]
fn every_hostile_fixture_has_its_expectation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = REFUSED.iter().any(|(it, _)| *it == name) || READ.iter().any(|(it, ..)| *it == name);
        assert!(known || name == "soap12-fault.xml", "{name} is in no table");
    }
}

/// A `GetParameterValuesResponse` with these entries.
fn values(entries: &str) -> String {
    envelope(&format!(
        "<cwmp:GetParameterValuesResponse><ParameterList>{entries}</ParameterList></cwmp:GetParameterValuesResponse>"
    ))
}

fn entry(value: &str) -> String {
    format!("<ParameterValueStruct><Name>Device.X</Name><Value>{value}</Value></ParameterValueStruct>")
}

#[test]
fn texts_are_read_up_to_the_limit() {
    let limit = Limits::default().text_bytes;
    let at_limit = values(&entry(&"x".repeat(limit)));
    assert!(decode(&at_limit, &Limits::default()).is_ok());
    let plain = "x".repeat(10 << 20);
    let spliced = "x&amp;".repeat(2 << 20);
    for value in ["x".repeat(limit + 1), plain, spliced] {
        let text = values(&entry(&value));
        let error = decode(&text, &Limits::default()).unwrap_err();
        assert!(matches!(error, DecodeError::TextTooLong { limit: named, .. } if named == limit), "{error}");
    }
}

#[test]
fn parameters_are_read_up_to_the_limit() {
    let limits = Limits { parameters: 100, ..Limits::default() };
    let text = values(&entry("v").repeat(100));
    match decode(&text, &limits).unwrap().body {
        Body::Response(Response::GetParameterValues(values)) => assert_eq!(values.parameters.len(), 100),
        other => panic!("{other:?}"),
    }
    let text = values(&entry("v").repeat(101));
    let error = decode(&text, &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyParameters { limit: 100 }), "{error}");
}

#[test]
fn elements_and_depth_are_read_up_to_the_limit() {
    let limits = Limits { elements: 50, depth: 10, ..Limits::default() };
    let flat = |extra: usize| {
        format!("<s:Envelope><s:Body><cwmp:Reboot>{}</cwmp:Reboot></s:Body></s:Envelope>", "<x/>".repeat(extra))
    };
    assert!(decode(&flat(47), &limits).is_ok());
    assert!(matches!(decode(&flat(48), &limits), Err(DecodeError::TooManyElements { limit: 50 })));
    let deep = |extra: usize| {
        format!(
            "<s:Envelope><s:Body><cwmp:Reboot>{}{}</cwmp:Reboot></s:Body></s:Envelope>",
            "<x>".repeat(extra),
            "</x>".repeat(extra)
        )
    };
    assert!(decode(&deep(7), &limits).is_ok());
    assert!(matches!(decode(&deep(8), &limits), Err(DecodeError::TooDeep { limit: 10, .. })));
}

#[test]
fn stray_brackets_are_taken_for_text_up_to_the_limit() {
    let limits = Limits { stray_markup: 3, ..Limits::default() };
    let text = |count: usize| values(&entry(&"<net ".repeat(count)));
    assert!(decode(&text(3), &limits).is_ok());
    assert!(matches!(decode(&text(4), &limits), Err(DecodeError::StrayMarkup { limit: 3, .. })));
    // Those that cannot open an element cost nothing and are not counted.
    assert!(decode(&values(&entry(&"<6>log\n".repeat(10_000))), &limits).is_ok());
}

#[test]
fn errors_say_where() {
    let table = [
        ("<a", "there is no XML element in it"),
        ("<s:Envelope><s:Body></s:Envelope>", "</s:Envelope> at byte 20 does not close <s:Body>"),
        ("<s:Envelope><s:Body>", "it ends at byte 20, inside <s:Body>"),
        ("<html></html>", "<html> is no SOAP envelope"),
        ("<s:Body><Reboot><CommandKey><?x?></Reboot>", "</Reboot> at byte 33 does not close <CommandKey>"),
        ("hello", "it starts with text instead of an XML element"),
    ];
    for (text, want) in table {
        assert_eq!(decode(text, &Limits::default()).unwrap_err().to_string(), want, "{text}");
    }
}
