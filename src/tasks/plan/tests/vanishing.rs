//! A device that vanishes in the middle of a test: at whatever point, the test ends in its own time, and the next one of its
//! kind has its turn. And words of a state that nobody knows.

use std::time::Duration;

use crate::diagnostics::timing::Timing;
use crate::model::device::Profile;
use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder};
use crate::model::procedure::InFlight;
use crate::model::transaction::{Kind, NewTransaction, Phase, Transaction, TransactionStatus, WaitReason, Work};
use crate::store::memory::{MemoryConfig, MemoryStore};
use crate::store::{DeviceStore as _, Merge, NewDevice, TransactionStore as _};
use crate::tasks::plan::news::{self, News};
use crate::tasks::plan::{self, Ending, PlanLimits, Step};
use crate::types::event::EventCode;
use crate::types::ident::{DeviceKey, SerialNumber, TransactionId};
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::diagnose::{DONE, PING, finish, order, ping, pinger, set, started, state, timer, value, work};
use super::world::World;

/// A ledger with two tests of one kind for the same device, and what lies between that and the ledger.
struct Ledger {
    store: MemoryStore,
    device: DeviceKey,
    first: TransactionId,
    second: TransactionId,
    world: World,
}

impl Ledger {
    async fn of(device: Device) -> Self {
        let world = World::new(device, ping());
        let store = MemoryStore::new(MemoryConfig::default());
        let profile = Profile::fresh(SerialNumber::try_from("S").unwrap(), Timestamp(0));
        let device = store.register(NewDevice { key: None, identity: None, profile }).await.unwrap().key;
        let mut ids = Vec::new();
        for target in ["8.8.8.8", "192.0.2.1"] {
            let new = NewTransaction {
                kind: Kind::Diag,
                work: work(order(DiagnosticKind::IpPing, target)),
                requested_by: "test".to_owned(),
                expires_at: None,
                campaign: None,
            };
            ids.push(store.enqueue(device, new, Merge::Never, world.now).await.unwrap().id);
        }
        Self { store, device, first: ids[0], second: ids[1], world }
    }

    /// One session, and what the ledger has of it.
    async fn session(&mut self) {
        self.world.transaction = self.store.claim(self.device, &[], self.world.now).await.unwrap().expect("may run");
        assert_eq!(self.world.transaction.id, self.first, "the place is taken");
        self.world.carry();
        self.save().await;
    }

    async fn save(&self) {
        let transaction = &self.world.transaction;
        if transaction.status.is_final() {
            self.store.settle(transaction, &[]).await.unwrap();
        } else {
            self.store.save(transaction).await.unwrap();
        }
    }

    async fn inform(&mut self) {
        let events: Vec<_> = DONE
            .iter()
            .map(|(code, key)| crate::cwmp::message::inform::EventStruct {
                code: *code,
                raw_code: code.as_str().into(),
                command_key: (*key).into(),
            })
            .collect();
        let news = News { at: self.world.now, events: &events, software_version: "1.0" };
        self.store.amend(self.device, self.first, Box::new(|one| news::informed(one, &news, 0))).await.unwrap();
    }

    /// The queue is tended to, some seconds later.
    async fn tick(&mut self, secs: u64) {
        let now = self.world.now + Duration::from_secs(secs);
        self.world.now = now;
        for mut overdue in self.store.expire(now, 100).await.unwrap() {
            if let Some(fault) = news::overdue(&overdue, now) {
                plan::book(&mut overdue, &Step::End(Ending::Failed(fault)), now);
                self.store.settle(&overdue, &[]).await.unwrap();
            }
        }
    }

    /// The clock alone goes on.
    async fn passes(&mut self, span: Duration) {
        for _ in 0..span.as_secs() / 50 {
            self.tick(50).await;
        }
    }

    /// The clock alone goes on, until the first test is over.
    async fn time_goes_by(&mut self) -> Transaction {
        for _ in 0..2_000 {
            self.tick(5).await;
            let first = self.store.transaction(self.first).await.unwrap().expect("kept");
            if first.status.is_final() {
                return first;
            }
        }
        panic!("it keeps its place: {:?}", self.store.live(self.device).await);
    }
}

/// How long a test keeps its place at most once its device has vanished.
fn patience() -> Duration {
    let (limits, Work::Diagnose(order)) = (PlanLimits::default(), ping()) else { panic!("no test") };
    Timing::of(&order, limits.test_margin, limits.test_patience).lost + Duration::from_secs(10)
}

/// Lets the device vanish, and tells with which words its test ended.
async fn vanishes(ledger: &mut Ledger) -> String {
    let gone_at = ledger.world.now;
    let first = ledger.time_goes_by().await;
    assert_eq!(first.status, TransactionStatus::Failed);
    let took = ledger.world.now.since(gone_at);
    assert!(took <= patience(), "{took:?}: {first:?}");
    let next = ledger.store.claim(ledger.device, &[], ledger.world.now).await.unwrap();
    assert_eq!(next.map(|next| next.id), Some(ledger.second), "the next test goes on");
    first.fault.expect("a fault").message
}

#[tokio::test]
async fn a_device_may_vanish_at_any_call_of_a_test() {
    let twists = [Twist::LostOnTheWay, Twist::AnswerLost, Twist::KilledOnTheWay, Twist::KilledAfter];
    // Three calls that look, the start, and one that looks whether it is done already; the state, and the results.
    let stages = [(0..3, "to be told to run the test"), (3..4, "whether it has started"), (4..6, "what became of")];
    for (call, words) in stages.into_iter().flat_map(|(calls, words)| calls.map(move |call| (call, words))) {
        for twist in &twists {
            let mut ledger = Ledger::of(pinger().at(call, twist.clone())).await;
            ledger.session().await;
            if call > 4 {
                finish(&mut ledger.world);
                ledger.inform().await;
                ledger.session().await;
            }
            // That the device has confirmed the start is not on disk before the session is over.
            let is_killed = matches!(twist, Twist::KilledOnTheWay | Twist::KilledAfter);
            let words = if call == 4 && is_killed { "whether it has started" } else { words };
            let said = vanishes(&mut ledger).await;
            assert!(said.contains("did not come back in time") && said.contains(words), "{call} {twist:?}: {said}");
        }
    }
}

#[tokio::test]
async fn a_device_may_vanish_while_its_results_are_read() {
    // A device that does not know partial paths is asked for names first: several calls bring the results.
    for call in 6..9 {
        for twist in [Twist::LostOnTheWay, Twist::AnswerLost] {
            let mut device = pinger().at(call, twist);
            device.partial_paths = super::device::PartialPaths::Refused;
            let mut ledger = Ledger::of(device).await;
            ledger.session().await;
            finish(&mut ledger.world);
            ledger.inform().await;
            ledger.session().await;
            if ledger.world.transaction.status.is_final() {
                continue;
            }
            let said = vanishes(&mut ledger).await;
            let words = "the test has ended on the device with Complete, but its results could not be read in time";
            assert_eq!(said, words, "{call}");
        }
    }
}

#[tokio::test]
async fn a_device_that_comes_back_to_break_off_again_gains_no_time() {
    let mut ledger = Ledger::of(pinger()).await;
    ledger.session().await;
    finish(&mut ledger.world);
    ledger.world.device.unreadable.insert(PING.to_owned(), 9002);
    let begin = ledger.world.now;
    ledger.inform().await;
    // Restarts in between, each of which it reports, count as little.
    while ledger.world.now.since(begin) < patience() {
        let live = ledger.store.live(ledger.device).await.unwrap();
        if live.first().is_none_or(|first| first.id != ledger.first) {
            return;
        }
        if matches!(live[0].phase, Phase::Ready { not_before } if not_before.is_none_or(|at| at <= ledger.world.now)) {
            ledger.session().await;
        }
        ledger.inform().await;
        ledger.world.now = ledger.world.now + Duration::from_secs(20);
        for mut overdue in ledger.store.expire(ledger.world.now, 10).await.unwrap() {
            if let Some(fault) = news::overdue(&overdue, ledger.world.now) {
                plan::book(&mut overdue, &Step::End(Ending::Failed(fault)), ledger.world.now);
                ledger.store.settle(&overdue, &[]).await.unwrap();
            }
        }
    }
    // The last back-off is longer than what is left: it has its chance after that, and no more.
    ledger.time_goes_by().await;
    assert!(ledger.world.now.since(begin) <= patience() * 2);
}

#[tokio::test]
async fn a_device_may_vanish_while_it_is_waited_for() {
    let mut running = Ledger::of(pinger()).await;
    running.session().await;
    assert!(vanishes(&mut running).await.contains("what became of the test"));

    let mut busy = pinger();
    busy.parameters.insert(format!("{PING}DiagnosticsState"), ("Requested".to_owned(), XsdType::String));
    let mut ledger = Ledger::of(busy).await;
    ledger.session().await;
    assert!(matches!(ledger.world.transaction.phase, Phase::Waiting { .. }));
    let said = vanishes(&mut ledger).await;
    assert!(said.contains("somebody else"), "{said}");
}

#[tokio::test]
async fn a_device_that_cannot_be_called_has_the_time_to_come_by_itself() {
    // How it Informs, and how long it is at most waited for: two Informs, unless the test has been started and keeps its place.
    let intervals = [(900, 1_920, 1_960), (3_600, 7_320, 5_470), (86_400, 172_920, 5_470)];
    for (secs, unstarted, started) in intervals {
        let ledger = async |device| {
            let mut ledger = Ledger::of(device).await;
            ledger.world.inform_interval = Duration::from_secs(secs);
            ledger.session().await;
            ledger
        };
        // It was not told to run the test: the session broke, it answered oddly, or somebody else's test was in the way.
        let mut busy = pinger();
        busy.parameters.insert(format!("{PING}DiagnosticsState"), ("Requested".to_owned(), XsdType::String));
        for device in [pinger().at(1, Twist::LostOnTheWay), pinger().at(1, Twist::Mismatch), busy] {
            let mut ledger = ledger(device).await;
            let until = ledger.world.transaction.progress.deadline.expect("a deadline");
            let took = until.since(ledger.world.now).as_secs();
            assert!((2 * secs..=unstarted).contains(&took), "{secs}: {took}");
            // It comes.
            state(&mut ledger.world, "None");
            ledger.passes(Duration::from_secs(secs)).await;
            ledger.session().await;
            assert_eq!(ledger.world.device.writes, 1, "{secs}: it runs");
        }
        // It was told, and has not reported; it was, and breaks off while its results are read.
        for (device, ends) in [(pinger(), false), (pinger().at(6, Twist::LostOnTheWay), true)] {
            let mut ledger = ledger(device).await;
            if ends {
                finish(&mut ledger.world);
                ledger.inform().await;
                ledger.session().await;
            }
            let comes_in_time = secs < 5_000;
            ledger.passes(Duration::from_secs(secs)).await;
            let first = ledger.store.transaction(ledger.first).await.unwrap().expect("kept");
            assert_eq!(!first.status.is_final(), comes_in_time, "{secs}: {first:?}");
            if comes_in_time {
                finish(&mut ledger.world);
                ledger.session().await;
                ledger.world.assert_completed();
                continue;
            }
            let took = first.completed_at.expect("over").since(first.started_at.unwrap_or(first.created_at)).as_secs();
            assert!(took <= started + 50, "{secs}: {took}");
        }
    }
}

/// A test whose device ends it with this word.
fn ended_with(word: &str, events: &[(EventCode, &str)]) -> World {
    let mut world = started(pinger(), ping());
    finish(&mut world);
    state(&mut world, word);
    world.inform(events);
    world
}

#[test]
fn a_word_that_nobody_knows_is_named() {
    let words = ["Finished", " InProgress ", "X_VENDOR_Done", "Complete.", "Success"];
    for (word, reports) in words.into_iter().flat_map(|word| [(word, false), (word, true)]) {
        let mut world = ended_with(word, if reports { &DONE } else { &[] });
        let begin = world.now;
        world.run();
        assert!(matches!(world.transaction.phase, Phase::Waiting { .. }), "{word}: it may run");
        while !world.transaction.status.is_final() {
            timer(&mut world);
            assert!(world.sessions < 20, "{word}");
        }
        let words = format!(" says `{}`, which is neither Complete nor an error", word.trim());
        assert!(world.fault().message.ends_with(&words), "{:?}", world.fault());
        assert_eq!(world.fault().message.contains("timed out"), !reports, "{:?}", world.fault());
        // 5 × 2 s and 5 min; or 1 min where the device has said that a test is done.
        let longest = if reports { 80 } else { 330 };
        assert!(world.now.since(begin) <= Duration::from_secs(longest), "{word}");
        // What it shows is kept, for whoever knows the device.
        assert_eq!((value(&world, ".DiagnosticsState"), value(&world, ".SuccessCount")), (word.into(), "4".into()));
        assert_eq!(world.device.value(&format!("{PING}DiagnosticsState")), "Canceled");
    }
    // In whatever spelling, an error is one at once.
    for word in ["Error_Foo", "ERROR", "error: no route"] {
        let mut world = ended_with(word, &DONE);
        world.run();
        assert_eq!(world.fault().message, format!("the device ended the test with {word}"));
    }
    // And so is success.
    for word in ["completed", " COMPLETE "] {
        let mut world = ended_with(word, &DONE);
        world.run().assert_completed();
    }
}

#[test]
fn a_word_that_nobody_knows_gives_way_to_one_that_says_something() {
    // Once the device has said that a test is done, up to the time to look: that may have been another one.
    for (events, looks) in [(&[][..], 2), (&DONE[..], 0)] {
        let mut world = ended_with("InProgress", events);
        world.run();
        for _ in 0..looks {
            timer(&mut world);
        }
        finish(&mut world);
        timer(&mut world);
        world.assert_completed();
    }
}

#[test]
fn a_word_that_nobody_knows_ends_a_test_that_is_reported_late() {
    let mut world = ended_with("Finished", &[]);
    timer(&mut world);
    assert!(matches!(world.transaction.phase, Phase::Waiting { .. }), "it may run");
    world.inform(&DONE);
    world.run();
    let words =
        "the device has reported the end of the test, but says `Finished`, which is neither Complete nor an error";
    assert_eq!((world.fault().message.as_str(), value(&world, ".SuccessCount").as_str()), (words, "4"));
}

#[test]
fn a_word_that_nobody_knows_is_somebody_else_s_test_until_it_is_seen_again() {
    let other = |word: &str| {
        let mut device = pinger();
        device.parameters.insert(format!("{PING}DiagnosticsState"), (word.to_owned(), XsdType::String));
        let world = started(device, ping());
        let waits = matches!(world.transaction.phase, Phase::Waiting { reason: WaitReason::ForeignTest, .. });
        assert!(waits && world.device.writes == 0, "{word}: it may run");
        world
    };
    // It runs, and ends.
    let mut world = other("InProgress");
    state(&mut world, "Complete");
    world.inform(&DONE);
    world.run();
    assert_eq!(world.device.writes, 1);
    // It goes on: a word that was not there before was not left from long ago.
    let mut world = other("Requested");
    for word in ["InProgress", "Measuring"] {
        state(&mut world, word);
        timer(&mut world);
        assert_eq!(world.device.writes, 0, "{word}");
    }
    timer(&mut world);
    assert_eq!(world.device.writes, 1);
    // A device with ever new words is not waited for longer than any other.
    let mut world = other("1 %");
    let begin = world.now;
    for percent in 2.. {
        if world.device.writes > 0 {
            break;
        }
        state(&mut world, &format!("{percent} %"));
        timer(&mut world);
    }
    assert!(world.now.since(begin) < Duration::from_mins(17));

    // One that was left is in nobody's way for longer than a minute.
    let mut world = other("Finished");
    let begin = world.now;
    timer(&mut world);
    assert!(world.device.writes == 1 && world.now.since(begin) < Duration::from_secs(70), "nobody's test runs");
    finish(&mut world);
    world.inform(&DONE);
    world.run().assert_completed();

    // Nor is it taken for this test's, where nothing else tells the two apart.
    let mut device = pinger().at(6, Twist::LostOnTheWay);
    let inputs = [("Host", "8.8.8.8"), ("NumberOfRepetitions", "5"), ("Timeout", "1000"), ("DataBlockSize", "64")];
    for (leaf, value) in inputs.into_iter().chain([("DiagnosticsState", "Finished")]) {
        let ty = device.parameters[&format!("{PING}{leaf}")].1;
        device.parameters.insert(format!("{PING}{leaf}"), (value.to_owned(), ty));
    }
    let mut world = started(device, ping());
    timer(&mut world);
    assert!(matches!(world.transaction.progress.in_flight, Some(InFlight::StartTest { .. })));
    world.run();
    assert_eq!(world.device.writes, 1, "the lost start is made good");
}

#[test]
fn a_vendor_s_scan_that_ends_with_another_word_is_told_of() {
    let scan = crate::model::device_type::NeighborScan {
        state: super::world::parameter("InternetGatewayDevice.X_Scan.State"),
        start: "1".to_owned(),
        done: vec!["0".to_owned()],
        table: super::world::object("InternetGatewayDevice.X_Results.AP."),
        columns: Vec::new(),
    };
    let device = Device::with(&[("InternetGatewayDevice.X_Scan.State", "0", XsdType::String)]);
    let order = DiagnosticOrder { target: "all".to_owned(), ..order(DiagnosticKind::WifiNeighbor, "all") };
    let mut world = World::new(device, work(order));
    world.data_model = crate::model::device::DataModel::InternetGatewayDevice;
    world.device_type.neighbor_scan = Some(scan);
    world.session();
    set(&mut world, "InternetGatewayDevice.X_Scan.State", "7");
    while !world.transaction.status.is_final() {
        timer(&mut world);
        assert!(world.sessions < 20);
    }
    assert!(world.fault().message.ends_with("the device says `7`, which is neither 0 nor an error"));
}
