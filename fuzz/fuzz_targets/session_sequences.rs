//! The session engine under arbitrary orders of messages: it never panics, always has an action, calls only when it has
//! the turn, sends nothing harmful twice, and comes to an end.
//!
//! `cargo +nightly fuzz run session_sequences`
#![no_main]

use std::time::Duration;

use acsd::cwmp::emission::{Declaration, EmissionFlags};
use acsd::cwmp::fault::CpeFaultCode;
use acsd::cwmp::message::acs::{AddObjectResponse, Applied, ParameterNames, ParameterValues};
use acsd::cwmp::message::cpe::{Kicked, TransferComplete};
use acsd::cwmp::message::inform::{DeviceIdStruct, Inform};
use acsd::cwmp::message::{Body, Envelope, Fault, Header, Method, Request, Response};
use acsd::cwmp::session::{Action, Answer, Incoming, Session, SessionLimits};
use acsd::types::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const T0: Timestamp = Timestamp::from_secs(1_000_000);
/// Small enough for a fuzzer's input to reach it.
const LIMITS: SessionLimits = SessionLimits { exchanges: 200, length: Duration::from_secs(3600) };
const METHODS: [Method; 6] = [
    Method::GetParameterValues,
    Method::GetParameterNames,
    Method::SetParameterValues,
    Method::AddObject,
    Method::Reboot,
    Method::Download,
];

fn response(choice: u8) -> Response<'static> {
    match choice % 6 {
        0 => Response::GetParameterValues(ParameterValues::default()),
        1 => Response::GetParameterNames(ParameterNames::default()),
        2 => Response::SetParameterValues(Applied::Now),
        3 => Response::AddObject(AddObjectResponse::default()),
        4 => Response::Reboot,
        _ => Response::ScheduleInform,
    }
}

fn body(kind: u8, choice: u8) -> Body<'static> {
    match kind % 6 {
        0 => Body::Request(Request::TransferComplete(TransferComplete::default())),
        1 => Body::Request(Request::Kicked(Kicked::default())),
        2 | 3 => Body::Response(response(choice)),
        4 => {
            let code = CpeFaultCode(9000 + u16::from(choice));
            Body::Fault(Fault { code, message: "".into(), parameters: Vec::new() })
        }
        _ => Body::Unknown(if choice % 2 == 0 { "X_Call" } else { "X_CallResponse" }.into()),
    }
}

fn open(session: &mut Session, timeout: u8) {
    let inform = Inform {
        device_id: DeviceIdStruct { serial_number: "1".into(), ..DeviceIdStruct::default() },
        events: Vec::new(),
        max_envelopes: 1,
        current_time: "".into(),
        retry_count: 0,
        parameters: Vec::new(),
    };
    let header = Header { session_timeout_secs: Some(u32::from(timeout)), ..Header::default() };
    let body = Body::Request(Request::Inform(inform.clone()));
    let envelope = Envelope { declaration: Declaration::Absent, namespace: None, header, body };
    session.open(T0, &envelope, &inform, EmissionFlags::default()).expect("no list of versions, no quarrel");
    assert!(session.is_repetition(&envelope, &inform));
}

/// The driver's part after `Poll` and `Answered`.
fn take_turn(session: &mut Session, ids: &mut Vec<String>, choice: u8) -> Option<Method> {
    assert!(session.has_turn());
    if choice == 0 {
        session.finish();
        return None;
    }
    let method = METHODS[usize::from(choice) % METHODS.len()];
    let id = session.call(method);
    assert!(id.len() <= 16 && !ids.contains(&id));
    ids.push(id);
    assert!(!session.has_turn());
    Some(method)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let mut session = Session::new(T0, u32::from(first), LIMITS);
    open(&mut session, first);
    let mut now = T0;
    let (mut ids, mut out, mut posts) = (Vec::new(), None, 1_u32);
    for step in rest.chunks_exact(3) {
        let [kind, choice, extra] = *step else { return };
        now = now + Duration::from_secs(u64::from(extra >> 4));
        let id = match extra & 3 {
            0 => None,
            1 => ids.last().cloned(),
            2 => ids.iter().rev().nth(1).cloned(),
            _ => Some("other".to_owned()),
        };
        let empty = kind % 4 == 0;
        let incoming = if empty {
            Incoming::Empty
        } else {
            Incoming::Message { id: id.map(Into::into), body: body(kind, choice) }
        };
        assert_eq!(session.outstanding(), out);
        posts += 1;
        match session.on_post(now, incoming) {
            Action::Poll => {
                assert!(out.is_none());
                out = take_turn(&mut session, &mut ids, choice);
            }
            Action::Answered(answer) => {
                let called = out.take().expect("an answer to no call");
                if let Answer::Response(response) = answer {
                    assert_eq!(response.method(), called);
                }
                out = take_turn(&mut session, &mut ids, choice);
            }
            Action::Serve { .. } | Action::Unsupported { .. } => assert!(!session.has_turn()),
            Action::Resend => assert!(!matches!(out, None | Some(Method::AddObject | Method::Download))),
            Action::Finish(_) => assert!(session.is_done()),
            action @ (Action::Idle | Action::NotAnInform | Action::RetryInform | Action::Refuse(_)) => {
                panic!("{action:?} in an open session")
            }
        }
        if session.is_done() {
            return;
        }
        assert!(posts <= LIMITS.exchanges, "never ends");
        assert!(session.deadline() <= T0 + LIMITS.length);
    }
});
