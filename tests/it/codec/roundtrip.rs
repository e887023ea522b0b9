//! What is written is valid, and is read as what it was.

use acsd::cwmp::codec::{Limits, decode, encode, to_text};
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
        let emission = acsd::cwmp::emission::Emission { namespace: spoken, ..emission };
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
    fn a_message_with_a_hole_is_read_or_refused(
        body in samples::body(CwmpVersion::V1_4),
        from in 0.0..1.0_f64,
        length in 0_usize..40,
        patch in "[<>&\"'/a ]{0,6}",
    ) {
        let mut text = super::write(&Header::default(), &body, &emission(CwmpVersion::V1_4));
        let start = (0..=(text.len() as f64 * from) as usize).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (start + length..).find(|at| *at >= text.len() || text.is_char_boundary(*at)).unwrap_or(start).min(text.len());
        text.replace_range(start..end, &patch);
        let _answer = decode(&text, &Limits::default());
    }
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
