use std::time::Duration;

use acsd::cwmp::emission::EmissionFlags;
use acsd::cwmp::fault::AcsFault;
use acsd::cwmp::message::inform::Inform;
use acsd::cwmp::message::{Body, Header, Method, Request};
use acsd::cwmp::session::{Action, Answer, Incoming, Outcome, Session, SessionLimits};
use acsd::cwmp::version::CwmpVersion;

use super::support::*;

fn is_response(action: &Action<'_>) -> bool {
    matches!(action, Action::Answered(Answer::Response(_)))
}

#[test]
fn the_first_message_has_to_be_an_inform() {
    for body in [request("TransferComplete"), response(Method::Reboot), fault(9002), Body::Unknown("Foo".into())] {
        let mut session = Session::new(T0, 1, SessionLimits::default());
        assert_eq!(session.on_post(T0, message(None, body)), Action::NotAnInform);
    }
}

#[test]
fn quirk_61_an_empty_post_before_the_inform_is_waited_out() {
    let mut session = Session::new(T0, 1, SessionLimits::default());
    for _ in 0..3 {
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Idle);
    }
    assert!(!session.is_done());
    session.open(T0, &inform_envelope(Header::default()), &inform(), EmissionFlags::default()).expect("opens");
    assert_eq!(session.on_post(T0, Incoming::Empty), Action::Poll);
}

#[test]
fn the_cpe_calls_first_and_hands_over_by_an_empty_post() {
    let mut session = opened();
    assert!(!session.has_turn(), "nothing is ever sent in the answer to the Inform");
    for id in ["2", "3"] {
        let action = session.on_post(T0, message(Some(id), request("TransferComplete")));
        assert!(matches!(action, Action::Serve { id: Some(echo), .. } if echo == id));
        assert!(!session.has_turn(), "nor in the answer to a call");
    }
    assert_eq!(session.on_post(T0, Incoming::Empty), Action::Poll);
    assert!(session.has_turn());
}

#[test]
fn the_acs_calls_one_after_the_other() {
    let (mut session, mut id) = calling(Method::GetParameterValues);
    for _ in 0..3 {
        assert!(!session.has_turn());
        assert_eq!(session.outstanding(), Some(Method::GetParameterValues));
        assert!(is_response(&session.on_post(T0, message(Some(&id), response(Method::GetParameterValues)))));
        assert!(session.has_turn());
        assert_eq!(session.outstanding(), None);
        let next = session.call(Method::GetParameterValues);
        assert_ne!(next, id);
        id = next;
    }
}

#[test]
fn ids_are_short_and_plain() {
    let mut session = Session::new(T0, u32::MAX, SessionLimits::default());
    for _ in 0..1000 {
        let id = session.call(Method::Reboot);
        assert!(id.len() <= 16 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    }
}

#[test]
fn a_fault_is_an_answer() {
    let (mut session, id) = calling(Method::SetParameterValues);
    let action = session.on_post(T0, message(Some(&id), fault(9003)));
    assert!(matches!(action, Action::Answered(Answer::Fault(fault)) if fault.code.0 == 9003));
    assert!(session.has_turn());
}

#[test]
fn quirk_11_a_cookie_of_an_old_session_is_no_concern_of_the_engine() {
    // An Inform is never fed to a session that runs: it opens another.
    let old = opened();
    let new = opened();
    assert!(!old.is_done() && !new.is_done());
    let other = Inform { current_time: "2024-01-01T00:05:00Z".into(), ..inform() };
    assert!(!old.is_repetition(&inform_envelope(Header::default()), &other));
}

#[test]
fn quirk_12_the_same_inform_again_is_recognised_until_something_else_is_said() {
    let header = || Header { id: Some("1".into()), ..Header::default() };
    let mut session = opened();
    assert!(session.is_repetition(&inform_envelope(header()), &inform()));
    assert!(!session.is_repetition(&inform_envelope(Header::default()), &inform()), "another ID");
    let retried = Inform { retry_count: 1, ..inform() };
    assert!(!session.is_repetition(&inform_envelope(header()), &retried), "a new try, not the same POST");
    session.on_post(T0, message(Some("2"), request("TransferComplete")));
    assert!(!session.is_repetition(&inform_envelope(header()), &inform()));
}

#[test]
fn an_inform_that_cannot_be_recorded_is_asked_for_once_more_and_no_more() {
    let open = |session: &mut Session| {
        session.open(T0, &inform_envelope(Header::default()), &inform(), EmissionFlags::default()).expect("opens");
    };
    let mut session = opened();
    assert_eq!(session.retry_inform(T0), Action::RetryInform);
    assert!(!session.is_done() && !session.has_turn());
    assert_eq!(session.deadline(), T0 + Duration::from_mins(1), "it is not waited for longer than anything else");
    assert!(!session.is_repetition(&inform_envelope(Header::default()), &inform()), "nothing was answered yet");
    assert_eq!(session.on_post(T0, Incoming::Empty), Action::Idle, "no session yet");
    open(&mut session);
    assert!(session.is_repetition(&inform_envelope(Header::default()), &inform()));
    assert_eq!(session.on_post(T0, Incoming::Empty), Action::Poll, "a session like any other");

    let mut session = opened();
    assert_eq!(session.retry_inform(T0), Action::RetryInform);
    open(&mut session);
    assert_eq!(session.retry_inform(T0), Action::Refuse(Outcome::Unrecorded));
    assert!(session.is_done());
    assert_eq!(session.retry_inform(T0), Action::Refuse(Outcome::Unrecorded));
}

#[test]
fn an_inform_is_not_asked_for_again_once_it_was_answered() {
    let table = [("a CPE call", message(None, request("TransferComplete"))), ("an empty POST", Incoming::Empty)];
    for (case, said) in table {
        let mut session = opened();
        session.on_post(T0, said);
        assert_eq!(session.retry_inform(T0), Action::Refuse(Outcome::Unrecorded), "{case}");
    }
    let mut session = Session::new(T0, 1, SessionLimits::default());
    assert_eq!(session.retry_inform(T0), Action::RetryInform);
    assert_eq!(session.on_post(T0, message(None, request("TransferComplete"))), Action::NotAnInform);
}

#[test]
fn quirk_14_an_empty_body_counts_as_an_empty_post() {
    let incoming = Incoming::from(envelope(Header { id: Some("9".into()), ..Header::default() }, Body::Empty));
    assert_eq!(incoming, Incoming::Empty);
}

#[test]
fn quirk_15_a_cpe_call_in_the_acs_phase_is_served_and_the_outstanding_call_still_answered() {
    for method in [Method::GetParameterValues, Method::AddObject, Method::Reboot] {
        let (mut session, id) = calling(method);
        let action = session.on_post(T0, message(Some("5"), request("Kicked")));
        assert!(matches!(action, Action::Serve { .. }));
        assert_eq!(session.outstanding(), Some(method));
        assert!(is_response(&session.on_post(T0, message(Some(&id), response(method)))), "{method:?}");
    }
}

#[test]
fn quirk_15_an_unknown_call_in_the_acs_phase_is_refused_and_the_session_goes_on() {
    let (mut session, id) = calling(Method::GetParameterValues);
    let action = session.on_post(T0, message(Some("5"), Body::Unknown("X_Foo".into())));
    assert!(matches!(action, Action::Unsupported { method, .. } if method == "X_Foo"));
    assert!(is_response(&session.on_post(T0, message(Some(&id), response(Method::GetParameterValues)))));
}

#[test]
fn quirk_15_a_call_forgotten_over_the_cpe_s_own_is_issued_again_where_that_harms_nobody() {
    let table = [
        (Method::GetParameterValues, true),
        (Method::SetParameterValues, true),
        (Method::Reboot, true),
        (Method::FactoryReset, true),
        (Method::AddObject, false),
        (Method::DeleteObject, false),
        (Method::Download, false),
        (Method::ChangeDuState, false),
    ];
    for (method, again) in table {
        let (mut session, _) = calling(method);
        session.on_post(T0, message(Some("5"), request("TransferComplete")));
        let action = session.on_post(T0, Incoming::Empty);
        let want = if again { Action::Resend } else { Action::Answered(Answer::Missing) };
        assert_eq!(action, want, "{method:?}");
    }
}

#[test]
fn quirk_16_ids_that_are_missing_changed_or_cut_do_not_matter() {
    for id in [None, Some("something else"), Some("0000")] {
        let (mut session, _) = calling(Method::AddObject);
        assert!(is_response(&session.on_post(T0, message(id, response(Method::AddObject)))), "{id:?}");
    }
}

#[test]
fn quirk_16_a_previous_id_that_is_repeated_for_ever_does_not_matter() {
    let (mut session, mut previous) = calling(Method::GetParameterValues);
    assert!(is_response(&session.on_post(T0, message(Some(&previous), response(Method::GetParameterValues)))));
    for method in [Method::GetParameterValues, Method::AddObject, Method::SetParameterValues, Method::Reboot] {
        let id = session.call(method);
        let action = session.on_post(T0, message(Some(&previous), response(method)));
        assert!(is_response(&action), "{method:?}: {action:?}");
        previous = id;
    }
}

#[test]
fn quirk_17_an_answer_to_another_method_fails_that_call_alone() {
    let (mut session, id) = calling(Method::GetParameterValues);
    let action = session.on_post(T0, message(Some(&id), response(Method::Reboot)));
    assert_eq!(action, Action::Answered(Answer::Mismatch));
    assert!(session.has_turn());
    let id = session.call(Method::GetParameterNames);
    assert!(is_response(&session.on_post(T0, message(Some(&id), response(Method::GetParameterNames)))));
}

#[test]
fn quirk_17_an_answer_left_over_from_another_session_counts_as_an_empty_post() {
    let mut session = opened();
    assert_eq!(session.on_post(T0, message(Some("old"), response(Method::Reboot))), Action::Poll);
    assert!(session.has_turn());
}

#[test]
fn quirk_36_whatever_comes_after_204_gets_another_one() {
    for incoming in [
        Incoming::Empty,
        message(None, response(Method::Reboot)),
        message(None, request("TransferComplete")),
        message(None, fault(9002)),
    ] {
        let (mut session, _) = calling(Method::Reboot);
        session.finish();
        assert_eq!(session.on_post(T0, incoming), Action::Finish(Outcome::Completed));
        assert!(session.is_done() && !session.has_turn());
    }
}

#[test]
fn quirk_61_answers_that_lag_one_behind_all_session_long_are_followed() {
    let (mut session, mut id) = calling(Method::GetParameterValues);
    assert_eq!(session.on_post(T0, Incoming::Empty), Action::Resend, "the second empty POST in a row");
    let values = || response(Method::GetParameterValues);
    assert!(is_response(&session.on_post(T0, message(Some(&id), values()))));
    for round in 0..50 {
        let next = session.call(Method::GetParameterValues);
        assert_eq!(session.on_post(T0, message(Some(&id), values())), Action::Resend, "round {round}");
        assert!(is_response(&session.on_post(T0, message(Some(&next), values()))), "round {round}");
        id = next;
    }
}

#[test]
fn quirk_61_a_late_answer_to_a_call_that_was_given_up_is_not_taken_for_another() {
    for late in [response(Method::AddObject), fault(9002)] {
        let (mut session, added) = calling(Method::AddObject);
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Answered(Answer::Missing));
        let listed = session.call(Method::GetParameterNames);
        assert_eq!(session.on_post(T0, message(Some(&added), late)), Action::Resend);
        assert!(is_response(&session.on_post(T0, message(Some(&listed), response(Method::GetParameterNames)))));
    }
}

#[test]
fn quirk_62_an_empty_post_is_no_answer_and_no_endless_loop() {
    let (mut session, _) = calling(Method::GetParameterValues);
    let mut posts = 0;
    while session.on_post(T0, Incoming::Empty) != Action::Answered(Answer::Missing) {
        posts += 1;
        assert!(posts < 5);
    }
    assert!(session.has_turn());
    for method in [Method::AddObject, Method::Reboot, Method::FactoryReset, Method::Download, Method::Upload] {
        let (mut session, _) = calling(method);
        assert_eq!(
            session.on_post(T0, Incoming::Empty),
            Action::Answered(Answer::Missing),
            "{method:?} is never repeated"
        );
    }
}

#[test]
fn silence_is_bounded_and_longer_while_a_call_is_out() {
    assert_eq!(opened().deadline(), T0 + Duration::from_mins(1));
    let (session, _) = calling(Method::SetParameterValues);
    assert_eq!(session.deadline(), T0 + Duration::from_mins(3), "quirk 38");
    for (asked, granted) in [(0, 30), (45, 45), (100_000, 300)] {
        let mut session = Session::new(T0, 1, SessionLimits::default());
        let header = Header { session_timeout_secs: Some(asked), ..Header::default() };
        session.open(T0, &inform_envelope(header), &inform(), EmissionFlags::default()).expect("opens");
        assert_eq!(session.deadline(), T0 + Duration::from_secs(granted));
    }
}

#[test]
fn length_and_exchanges_are_bounded() {
    let limits = SessionLimits { exchanges: 5, length: Duration::from_mins(10) };
    let mut session = opened_with(limits);
    let calls = (0..10).position(|_| {
        let action = session.on_post(T0, message(None, Body::Request(Request::GetRpcMethods)));
        action == Action::Finish(Outcome::LimitReached)
    });
    assert_eq!(calls, Some(4), "the Inform counts");
    let mut session = opened_with(limits);
    assert!(session.deadline() <= T0 + limits.length);
    let late = T0 + Duration::from_secs(601);
    assert_eq!(session.on_post(late, Incoming::Empty), Action::Finish(Outcome::LimitReached));
    assert!(session.is_done());
}

#[test]
fn a_version_is_agreed_on_only_where_the_cpe_lists_its_own() {
    let open = |list: Option<&'static str>| {
        let mut session = Session::new(T0, 1, SessionLimits::default());
        let header = Header { supported_versions: list.map(Into::into), ..Header::default() };
        let reply = session.open(T0, &inform_envelope(header), &inform(), EmissionFlags::default());
        reply.map(|header| header.use_version)
    };
    assert_eq!(open(None), Ok(None));
    assert_eq!(open(Some(" ")), Ok(None), "an empty list lists nothing");
    assert_eq!(open(Some("1.0, 1.2")), Ok(Some(CwmpVersion::V1_2)));
    assert_eq!(open(Some("3.0")), Err(AcsFault::VersionIncompatible));
}
