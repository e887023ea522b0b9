//! What is written is valid, and is read as what it was.

use acsd::cwmp::codec::{Limits, decode, encode, to_text};
use acsd::cwmp::emission::Emission;
use acsd::cwmp::message::{Body, Envelope, Header, Method};
use acsd::cwmp::version::{CwmpVersion, Namespace};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::{emission, samples, schema};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn every_message_survives_the_round_trip(
        (version, emission, header, body) in select(CwmpVersion::ALL.to_vec()).prop_flat_map(|version| {
            (Just(version), samples::emission(version), samples::header(version), samples::body(version))
        }),
        spoken in select(vec![Namespace::Cwmp1_0, Namespace::Cwmp1_1, Namespace::Cwmp1_2, Namespace::Cwmp1_3, Namespace::Cwmp1_4]),
    ) {
        let emission = Emission { namespace: spoken, ..emission };
        let mut out = Vec::new();
        encode(&header, &body, &emission, &mut out);
        let text = to_text(&out, Some("utf-8"));
        let read = decode(&text, &Limits::default()).map_err(|error| TestCaseError::fail(format!("{error}, {version}: {text}")))?;
        let want = Envelope { declaration: emission.declaration, namespace: Some(spoken), header, body };
        prop_assert_eq!(read, want);
    }

    #[test]
    fn whatever_is_thrown_at_it_the_decoder_answers(bytes in proptest::collection::vec(any::<u8>(), 0..400), charset in proptest::option::of("[a-z0-9-]{1,12}")) {
        let text = to_text(&bytes, charset.as_deref());
        let _answer = decode(&text, &Limits::default());
    }

    #[test]
    fn what_is_left_of_a_damaged_message_survives_the_round_trip(
        body in samples::body(CwmpVersion::V1_4),
        damage in proptest::collection::vec((0.0..1.0_f64, 0_usize..40, "[<>&;#x\"'/a9\r\n\u{1}\u{fffe} ]{0,6}"), 1..4),
    ) {
        let mut text = super::write(&Header::default(), &body, &emission(CwmpVersion::V1_4));
        for (place, length, patch) in damage {
            let at = (text.len() as f64 * place) as usize;
            let start = text.floor_char_boundary(at);
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &patch);
        }
        reads_the_same(&text)?;
    }

    #[test]
    fn what_is_left_of_a_damaged_fixture_survives_the_round_trip(
        fixture in select(super::fixtures::fixtures()),
        damage in proptest::collection::vec((0.0..1.0_f64, 0_usize..30, proptest::collection::vec(any::<u8>(), 0..4)), 0..4),
    ) {
        let mut bytes = std::fs::read(fixture.1).unwrap();
        for (place, length, patch) in damage {
            let start = (bytes.len() as f64 * place) as usize;
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, patch);
        }
        reads_the_same(&to_text(&bytes, None))?;
    }
}

/// Whether what can be read at all is the same after it was written and read again.
fn reads_the_same(text: &str) -> Result<(), TestCaseError> {
    let Ok(envelope) = decode(text, &Limits::default()) else { return Ok(()) };
    if matches!(envelope.body, Body::Unknown(_)) {
        return Ok(());
    }
    let (declaration, namespace) = (envelope.declaration, envelope.namespace.unwrap_or_default());
    let emission = Emission { declaration, namespace, ..Emission::default() };
    let again = super::write(&envelope.header, &envelope.body, &emission);
    let mut read =
        decode(&again, &Limits::default()).map_err(|error| TestCaseError::fail(format!("{error}: {again}")))?;
    // One is always written, whether or not one was read.
    read.namespace = envelope.namespace;
    prop_assert_eq!(read, envelope);
    Ok(())
}

/// Some messages of every kind that the version has, with names.
fn messages(version: CwmpVersion) -> Vec<(String, Vec<u8>)> {
    let mut runner = TestRunner::deterministic();
    let mut list = Vec::new();
    let mut sample = |name: String, body: BoxedStrategy<Body<'static>>| {
        for _ in 0..5 {
            let parts = (samples::emission(version), samples::header(version), &body).new_tree(&mut runner).unwrap();
            let (emission, header, body) = parts.current();
            let mut out = Vec::new();
            encode(&header, &body, &emission, &mut out);
            list.push((name.clone(), out));
        }
    };
    for method in Method::ALL.into_iter().filter(|method| samples::since(*method) <= version) {
        sample(method.name().to_owned(), samples::request(method, version).prop_map(Body::Request).boxed());
        sample(
            format!("{}Response", method.name()),
            samples::response(method, version).prop_map(Body::Response).boxed(),
        );
    }
    sample("Fault".to_owned(), samples::fault(version).prop_map(Body::Fault).boxed());
    sample("Empty".to_owned(), Just(Body::Empty).boxed());
    list
}

#[test]
fn every_message_of_every_version_is_valid() {
    for version in CwmpVersion::ALL {
        let messages = messages(version);
        schema::assert_all_valid(messages.iter().map(|(name, envelope)| (name.clone(), &**envelope)), version);
    }
}
