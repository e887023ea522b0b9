//! Envelopes that real devices and other projects' tests sent, outside the repository: `ACSD_CORPUS` names the folder.
//!
//! Its `INDEX.tsv` says of every file which message it holds and whether it is well-formed. Each well-formed one has to
//! decode to that message; each other one has to be recovered by a tolerance or refused for a reason, as [`expectation`]
//! lists.

use std::path::{Path, PathBuf};

use acsd::cwmp::codec::{DecodeErrorKind, Limits, decode, to_text};
use acsd::cwmp::message::Body;

/// What becomes of a file that is not well-formed.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// The message of the index is read in spite of it.
    Recovered,
    Refused(DecodeErrorKind),
}

/// By the names that the corpus gives: whole HTTP requests (the edge takes those apart, the codec sees the body alone),
/// fragments, truncations, and a few that are merely odd.
fn expectation(file: &str) -> Expected {
    match file {
        // Declares no prefix for `xsd:string` elements: prefixes do not matter.
        "evcpe-get-parameter-attributes.xml"
        | "evcpe-get-parameter-values.xml"
        | "evcpe-set-parameter-attributes.xml" => Expected::Recovered,
        // A control character and bytes that are no UTF-8, inside a value.
        "derived-broken-control-char-stb-1452002.xml" | "inform-broken-nonutf8-thomson.xml" => Expected::Recovered,
        // End tags that carry attributes: typed in by hand from a picture.
        "inform-avm-fritzbox7170-broken.xml" => Expected::Refused(DecodeErrorKind::Malformed),
        "bogus_inform-jdalberg.xml" | "excerpt-inform-sagemcom-fast5657.xml" => {
            Expected::Refused(DecodeErrorKind::Truncated)
        }
        truncated if truncated.ends_with("-truncated.xml") => Expected::Refused(DecodeErrorKind::Truncated),
        // Whole HTTP requests, one of them in chunks.
        _ => Expected::Refused(DecodeErrorKind::NotXml),
    }
}

#[test]
fn every_envelope_of_the_corpus_is_read_or_refused_for_a_reason() {
    let Some(corpus) = std::env::var_os("ACSD_CORPUS").map(PathBuf::from) else {
        println!("skipped: ACSD_CORPUS names no corpus");
        return;
    };
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let rows: Vec<(&str, &str, &str)> = index.lines().skip(1).filter_map(row).collect();
    assert!(rows.len() > 200, "an index of {} rows is cut short", rows.len());
    let wrong: Vec<String> = rows.into_iter().filter_map(|row| check(&corpus, row).err()).collect();
    assert!(wrong.is_empty(), "{} files went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// File, message and form.
fn row(line: &str) -> Option<(&str, &str, &str)> {
    let mut columns = line.split('\t');
    Some((columns.next()?, columns.next()?, columns.next()?))
}

fn check(corpus: &Path, (file, message, form): (&str, &str, &str)) -> Result<(), String> {
    let body = std::fs::read(corpus.join(file)).map_err(|error| format!("{file}: {error}"))?;
    let text = to_text(&body, None);
    let outcome = decode(&text, &Limits::default());
    // Well-formed, but with a DOCTYPE: refused whatever it says (quirk 6).
    if text.contains("<!DOCTYPE") {
        return match outcome {
            Err(error) if error.kind() == DecodeErrorKind::Doctype => Ok(()),
            other => Err(format!("{file}: a DOCTYPE was not refused: {other:?}")),
        };
    }
    let expected = if form == "wellformed" { Expected::Recovered } else { expectation(file) };
    match (outcome, expected) {
        (Ok(envelope), Expected::Recovered) if fits(&envelope.body, message) => Ok(()),
        (Ok(envelope), Expected::Recovered) => Err(format!("{file}: {message} was read as {:?}", envelope.body)),
        (Err(error), Expected::Refused(kind)) if error.kind() == kind => Ok(()),
        (Err(error), expected) => Err(format!("{file}: {error}, not {expected:?}")),
        (Ok(envelope), expected) => Err(format!("{file}: read as {:?}, not {expected:?}", envelope.body)),
    }
}

/// Whether the body is what the index calls it: `Inform`, `InformResponse`, `Fault9005`, or `Fault` of any code.
fn fits(body: &Body<'_>, message: &str) -> bool {
    match body {
        Body::Request(request) => request.method().name() == message,
        Body::Response(response) => message.strip_suffix("Response") == Some(response.method().name()),
        Body::Fault(fault) => message == "Fault" || message == format!("Fault{}", fault.code),
        Body::Empty | Body::Unknown(_) => false,
    }
}
