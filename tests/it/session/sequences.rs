use std::time::Duration;

use acsd::cwmp::message::{Body, Method};
use acsd::cwmp::session::{Action, Answer, Incoming, Session, SessionLimits};
use acsd::types::time::Timestamp;
use proptest::prelude::*;

use super::support::*;

const METHODS: [Method; 7] = [
    Method::GetParameterValues,
    Method::GetParameterNames,
    Method::SetParameterValues,
    Method::AddObject,
    Method::DeleteObject,
    Method::Reboot,
    Method::FactoryReset,
];

/// What a CPE, and then the driver, does next.
#[derive(Debug, Clone)]
enum Move {
    Empty,
    Call(&'static str, Option<Id>),
    Answer(Method, Option<Id>),
    /// The right response to the call that is out.
    Right(Option<Id>),
    Fault(u16, Option<Id>),
    Unknown(&'static str),
}

#[derive(Debug, Clone, Copy)]
enum Id {
    Present,
    Previous,
    Other,
}

fn id() -> impl Strategy<Value = Option<Id>> {
    prop::option::of(prop::sample::select(vec![Id::Present, Id::Previous, Id::Other]))
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => Just(Move::Empty),
        2 => (prop::sample::select(vec!["TransferComplete", "Kicked", "GetRPCMethods"]), id())
            .prop_map(|(name, id)| Move::Call(name, id)),
        2 => (prop::sample::select(METHODS.to_vec()), id()).prop_map(|(method, id)| Move::Answer(method, id)),
        5 => id().prop_map(Move::Right),
        1 => (9000_u16..9020, id()).prop_map(|(code, id)| Move::Fault(code, id)),
        1 => prop::sample::select(vec!["X_Do", "X_DoResponse", ""]).prop_map(Move::Unknown),
    ]
}

/// Plays the part of the driver: calls when it may, as long as it has something to call.
struct Driver {
    session: Session,
    now: Timestamp,
    ids: Vec<String>,
    /// The call that is out, how often it went out, and whether the CPE called in between.
    out: Option<(Method, u32)>,
    todo: Vec<Method>,
    ended: bool,
}

impl Driver {
    fn post(&mut self, step: &Move) {
        let pick = |ids: &[String], id: Option<Id>| match id? {
            Id::Present => ids.last().cloned(),
            Id::Previous => ids.iter().rev().nth(1).cloned(),
            Id::Other => Some("somebody-else-s-id".to_owned()),
        };
        let incoming = match step {
            Move::Empty => Incoming::Empty,
            Move::Call(name, id) => message(pick(&self.ids, *id).as_deref(), request(name)),
            Move::Answer(method, id) => message(pick(&self.ids, *id).as_deref(), response(*method)),
            Move::Right(id) => {
                let method = self.out.map_or(Method::Reboot, |(method, _)| method);
                message(pick(&self.ids, *id).as_deref(), response(method))
            }
            Move::Fault(code, id) => message(pick(&self.ids, *id).as_deref(), fault(*code)),
            Move::Unknown(name) => message(None, Body::Unknown((*name).into())),
        };
        self.now = self.now + Duration::from_secs(1);
        assert_eq!(self.session.outstanding(), self.out.map(|(method, _)| method));
        match self.session.on_post(self.now, incoming) {
            Action::Poll => {
                assert!(self.out.is_none(), "the turn while a call is out");
                self.turn();
            }
            Action::Answered(answer) => {
                let (method, _) = self.out.take().expect("an answer to no call");
                if let Answer::Response(response) = answer {
                    assert_eq!(response.method(), method, "matched to another call");
                }
                self.turn();
            }
            Action::Serve { .. } | Action::Unsupported { .. } => assert!(!self.session.has_turn()),
            Action::Resend => {
                let (method, sent) = self.out.as_mut().expect("sent again what was never sent");
                *sent += 1;
                assert!(
                    !matches!(method, Method::AddObject | Method::DeleteObject),
                    "{method:?} must not go out twice"
                );
                assert!(*sent <= 10, "{method:?} went out {sent} times");
            }
            Action::Finish(_) => {
                self.ended = true;
                assert!(self.session.is_done());
            }
            action @ (Action::Idle | Action::NotAnInform | Action::RetryInform | Action::Refuse(_)) => {
                panic!("{action:?} in an open session")
            }
        }
        assert!(self.session.deadline() <= T0 + SessionLimits::default().length);
    }

    fn turn(&mut self) {
        assert!(self.session.has_turn());
        match self.todo.pop() {
            Some(method) => {
                self.ids.push(self.session.call(method));
                self.out = Some((method, 1));
                assert!(!self.session.has_turn(), "one at a time");
            }
            None => {
                self.session.finish();
                self.ended = true;
            }
        }
    }
}

fn driver(session: Session, todo: Vec<Method>) -> Driver {
    Driver { session, now: T0, ids: Vec::new(), out: None, todo, ended: false }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_messages_has_an_action_and_calls_keep_their_turn(
        moves in prop::collection::vec(any_move(), 0..80),
        todo in prop::collection::vec(prop::sample::select(METHODS.to_vec()), 0..30),
    ) {
        let mut driver = driver(opened(), todo);
        for step in &moves {
            driver.post(step);
            if driver.ended {
                break;
            }
        }
    }

    #[test]
    fn a_cpe_that_repeats_itself_for_ever_is_brought_to_an_end(
        pattern in prop::collection::vec(any_move(), 1..6),
    ) {
        let limits = SessionLimits { exchanges: 400, ..SessionLimits::default() };
        let mut driver = driver(opened_with(limits), METHODS.repeat(200));
        let ended = (0..500).any(|post| {
            driver.post(&pattern[post % pattern.len()]);
            driver.ended
        });
        prop_assert!(ended);
    }

    #[test]
    fn before_the_inform_nothing_opens_a_session(moves in prop::collection::vec(any_move(), 1..20)) {
        let mut session = Session::new(T0, 1, SessionLimits::default());
        for step in &moves {
            let incoming = match step {
                Move::Empty => Incoming::Empty,
                _ => message(None, request("TransferComplete")),
            };
            let action = session.on_post(T0, incoming);
            prop_assert!(matches!(action, Action::Idle | Action::NotAnInform | Action::Finish(_)), "{action:?}");
            prop_assert!(!session.has_turn());
        }
    }
}
