//! Blanked messages are the same messages, but for their secrets, byte for byte.

use acsd::cwmp::codec::{BLANKED, Limits, blank_secrets, decode, encode, to_text};
use acsd::cwmp::emission::Emission;
use acsd::cwmp::message::acs::DuOperation;
use acsd::cwmp::message::inform::ParameterValueStruct;
use acsd::cwmp::message::{Body, Header, Request, Response, Text};
use acsd::cwmp::version::CwmpVersion;
use acsd::types::path::hides_its_value;
use proptest::prelude::*;
use proptest::sample::select;

use crate::codec::{fixtures, samples};

fn parameters<'b, 'a>(body: &'b mut Body<'a>) -> &'b mut [ParameterValueStruct<'a>] {
    match body {
        Body::Request(Request::Inform(inform)) => &mut inform.parameters,
        Body::Request(Request::SetParameterValues(set)) => &mut set.parameters,
        Body::Response(Response::GetParameterValues(values)) => &mut values.parameters,
        _ => &mut [],
    }
}

/// Makes secrets of some of the parameters.
fn with_secrets(mut body: Body<'static>) -> Body<'static> {
    for (at, parameter) in parameters(&mut body).iter_mut().enumerate() {
        if let Some(leaf) = ["KeyPassphrase", "ConnectionRequestPassword", "Username"].get(at % 4) {
            parameter.name = format!("{}.{leaf}", parameter.name.trim_end_matches('.')).into();
        }
    }
    body
}

/// What is to be left of a message.
fn concealed(mut body: Body<'_>) -> Body<'_> {
    let hide = |secret: &mut Text<'_>| {
        if !secret.is_empty() {
            *secret = BLANKED.into();
        }
    };
    for parameter in parameters(&mut body) {
        if hides_its_value(parameter.name.trim()) {
            hide(&mut parameter.value);
        }
    }
    match &mut body {
        Body::Request(Request::Download(download)) => hide(&mut download.password),
        Body::Request(Request::Upload(upload)) => hide(&mut upload.password),
        Body::Request(Request::ScheduleDownload(download)) => hide(&mut download.password),
        Body::Request(Request::ChangeDuState(change)) => {
            for operation in &mut change.operations {
                match operation {
                    DuOperation::Install { password, .. } | DuOperation::Update { password, .. } => {
                        password.iter_mut().for_each(hide);
                    }
                    DuOperation::Uninstall { .. } => {}
                }
            }
        }
        Body::Request(Request::SetVouchers(set)) => set.vouchers.iter_mut().for_each(hide),
        Body::Request(Request::RequestDownload(wanted)) => {
            for (name, value) in &mut wanted.arguments {
                if hides_its_value(name) {
                    hide(value);
                }
            }
        }
        _ => {}
    }
    body
}

fn written(header: &Header<'_>, body: &Body<'_>, emission: &Emission) -> String {
    let mut out = Vec::new();
    encode(header, body, emission, &mut out);
    String::from_utf8(out).unwrap()
}

/// Nothing but whole pieces were taken out.
fn assert_pieces_in_order(blanked: &str, text: &str) {
    let mut rest = text;
    for piece in blanked.split(BLANKED) {
        let (_, behind) = rest.split_once(piece).unwrap_or_else(|| panic!("{piece:?} is not in {rest:?}"));
        rest = behind;
    }
}

#[test]
fn fixtures_are_the_same_but_for_their_secrets() {
    for (name, file) in fixtures::fixtures() {
        let bytes = std::fs::read(file).unwrap();
        let text = to_text(&bytes, None);
        let blanked = blank_secrets(&text, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_pieces_in_order(&blanked, &text);
        let before = decode(&text, &Limits::default()).unwrap();
        let after = decode(&blanked, &Limits::default()).unwrap();
        assert_eq!((after.header, after.body), (before.header, concealed(before.body)), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_the_same_but_for_its_secrets(
        (emission, header, body) in select(CwmpVersion::ALL.to_vec()).prop_flat_map(|version| {
            (samples::emission(version), samples::header(version), samples::body(version))
        }),
    ) {
        let body = with_secrets(body);
        let text = written(&header, &body, &emission);
        let want = written(&header, &concealed(body), &emission);
        prop_assert_eq!(blank_secrets(&text, &Limits::default()).unwrap(), want);
    }

    #[test]
    fn no_secret_survives_in_what_is_left_of_a_damaged_message(
        body in samples::body(CwmpVersion::V1_4),
        damage in proptest::collection::vec((0.0..1.0_f64, 0_usize..40, "[<>&;#x\"'/a9\r\n ]{0,6}"), 1..4),
    ) {
        let mut text = written(&Header::default(), &with_secrets(body), &Emission::default());
        for (place, length, patch) in damage {
            let at = (text.len() as f64 * place) as usize;
            let start = text.floor_char_boundary(at);
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &patch);
        }
        let (Ok(before), Ok(blanked)) = (decode(&text, &Limits::default()), blank_secrets(&text, &Limits::default()))
        else {
            return Ok(());
        };
        let after = decode(&blanked, &Limits::default()).unwrap();
        prop_assert_eq!(after.body, concealed(before.body), "{} became {}", text, blanked);
    }
}
