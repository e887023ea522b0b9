//! Envelopes as different vendors write them: each is read, compared with its snapshot, written again, and read as the
//! same.
//!
//! A snapshot in `tests/it/snapshots/` is what the decoder believes of a fixture. After a change that is meant,
//! `INSTA_UPDATE=always cargo test --test it codec::fixtures` writes them anew, for review.

use std::path::{Path, PathBuf};

use acsd::cwmp::codec::{Limits, decode, to_text};
use acsd::cwmp::emission::Emission;
use acsd::cwmp::message::Envelope;
use acsd::cwmp::version::CwmpVersion;

use super::{schema, write};

/// Fixtures that the schema of their version refuses, and what for.
const DEVIATIONS: [(&str, &str); 5] = [
    ("femtocell/inform-pretty.xml", "SessionTimeout|[0-9A-F]{6}|Expected is ( CurrentTime )"),
    ("mikrotik/gpv-response.xml", "mustUnderstand"),
    ("openwrt/icwmp-inform.xml", "urn:dslforum-org:cwmp-1-4"),
    ("thomson/inform-latin1.xml", "NoMoreRequests"),
    ("zte/inform-sized-string.xml", "Value"),
];

/// The folder of one vendor after the other; what is hostile is another test's.
pub(crate) fn fixtures() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut list = Vec::new();
    for vendor in
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("hostile"))
    {
        for file in std::fs::read_dir(&vendor).unwrap().map(|entry| entry.unwrap().path()) {
            list.push((file.strip_prefix(&root).unwrap().display().to_string(), file));
        }
    }
    list.sort();
    list
}

/// The version that an Inform like this would open a session in.
fn version(envelope: &Envelope<'_>) -> CwmpVersion {
    let (timeout, versions) = (envelope.header.session_timeout_secs, &envelope.header.supported_versions);
    envelope.namespace.unwrap_or_default().version(timeout.is_some(), versions.is_some())
}

#[test]
fn fixtures_are_read_written_and_read_again() {
    for (name, file) in fixtures() {
        let body = std::fs::read(file).unwrap();
        let text = to_text(&body, None);
        let envelope = decode(&text, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_debug_snapshot!(name.replace('/', "-").trim_end_matches(".xml"), envelope);
        });
        let emission = Emission {
            declaration: envelope.declaration,
            namespace: envelope.namespace.unwrap_or_default(),
            ..Emission::default()
        };
        let again = write(&envelope.header, &envelope.body, &emission);
        assert_eq!(decode(&again, &Limits::default()).unwrap(), envelope, "{name}");
        if !DEVIATIONS.iter().any(|(deviating, _)| *deviating == name) {
            schema::assert_valid(again.as_bytes(), version(&envelope));
        }
    }
}

#[test]
fn fixtures_are_valid_but_for_the_known_deviations() {
    for (name, file) in fixtures() {
        let body = std::fs::read(file).unwrap();
        let text = to_text(&body, None);
        let version = version(&decode(&text, &Limits::default()).unwrap());
        let verdict = schema::validity(&body, version);
        match (DEVIATIONS.iter().find(|(deviating, _)| *deviating == name), verdict) {
            (None, Ok(())) => {}
            (None, Err(complaint)) => panic!("{name} is not valid in CWMP {version}: {complaint}"),
            (Some((_, why)), Err(complaint)) => {
                assert!(why.split('|').all(|why| complaint.contains(why)), "{name} deviates otherwise: {complaint}");
            }
            (Some(_), Ok(())) => panic!("{name} is valid in CWMP {version}"),
        }
    }
}
