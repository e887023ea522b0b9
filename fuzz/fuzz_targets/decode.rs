//! The decoder under arbitrary bytes: it never panics, keeps to its limits, and what it has read it can write and read
//! again as the same.
//!
//! `cargo +nightly fuzz run decode fuzz/corpus/decode fixtures/hostile fixtures/zte fixtures/huawei`
#![no_main]

use acsd::cwmp::codec::{Limits, decode, encode, to_text};
use acsd::cwmp::emission::Emission;
use acsd::cwmp::message::{Body, Request, Response};
use libfuzzer_sys::fuzz_target;

/// Small enough for inputs of a fuzzer's size to reach them.
const LIMITS: Limits = Limits { depth: 16, elements: 400, parameters: 60, text_bytes: 2000, stray_markup: 4 };

fuzz_target!(|bytes: &[u8]| {
    let text = to_text(bytes, None);
    let Ok(envelope) = decode(&text, &LIMITS) else { return };
    let entries = match &envelope.body {
        Body::Request(Request::Inform(inform)) => inform.parameters.len() + inform.events.len(),
        Body::Response(Response::GetParameterValues(values)) => values.parameters.len(),
        _ => 0,
    };
    assert!(entries <= LIMITS.parameters);

    // Characters escaped on the way out count for more bytes, but no more text.
    let emission = Emission {
        declaration: envelope.declaration,
        namespace: envelope.namespace.unwrap_or_default(),
        ..Emission::default()
    };
    let mut out = Vec::new();
    encode(&envelope.header, &envelope.body, &emission, &mut out);
    let again = to_text(&out, Some("utf-8"));
    let mut read = decode(&again, &Limits::default()).expect("what is encoded can be decoded");
    // A namespace is always written, whether or not one was read.
    read.namespace = envelope.namespace;
    if !matches!(envelope.body, Body::Unknown(_)) {
        assert_eq!(read, envelope);
    }
});
