//! Informs that a busy store cannot record: fault 8005 once in a session, then 503 (TR-069 A.5.2).

use acsd::model::device::Profile;
use acsd::simulator::{Outcome, SessionFailure};
use acsd::store::{DeviceStore as _, NewDevice, Store as _, TransactionStore as _};
use acsd::types::event::EventCode;
use acsd::types::ident::DeviceIdentity;
use acsd::types::time::Timestamp;

use super::acs::{Acs, cookie, inform, is_accepted};
use super::harness::Reply;

/// Whether it is fault 8005 in an envelope, with the ID of the Inform.
fn is_retry(reply: &Reply, id: &str) -> bool {
    let text = String::from_utf8_lossy(&reply.body);
    reply.status() == 200
        && text.contains("<FaultCode>8005</FaultCode>")
        && text.contains("<faultcode>Server</faultcode>")
        && text.contains(&format!(">{id}</"))
}

#[tokio::test]
async fn an_inform_sent_again_after_a_hiccup_goes_on_in_its_session() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let acs = Acs::start(100);
    acs.store.hiccup(1);
    let mut client = acs.connect().await;
    let asked = client.exchange("", inform("R-1", "0 BOOTSTRAP", "a1")).await;
    assert!(is_retry(&asked, "a1"), "{asked:?}");
    assert!(asked.header("Connection").is_empty(), "the session goes on");
    assert_eq!(acs.driver.open_sessions(), 1);
    assert!(acs.store.by_serial("R-1").await.unwrap().is_none(), "nothing was done by halves");
    let headers = format!("Cookie: {}\r\n", cookie(&asked));
    let accepted = client.exchange(&headers, inform("R-1", "0 BOOTSTRAP", "a1")).await;
    assert!(is_accepted(&accepted), "{accepted:?}");
    assert_eq!(cookie(&accepted), cookie(&asked), "one session has one cookie");
    assert_eq!(acs.driver.open_sessions(), 1);
    let call = client.exchange(&headers, "").await;
    assert_eq!(call.status(), 200, "it gets what a new device gets");
    let text = figures.render();
    assert!(text.contains("acsd_inform_retries_total 1\n"), "{text}");
    assert!(!text.contains("acsd_cwmp_refused_total"), "{text}");
}

#[tokio::test]
async fn the_session_is_found_without_cookie_and_connection() {
    let acs = Acs::start(100);
    acs.store.hiccup(1);
    let asked = acs.connect().await.exchange("", inform("R-2", "0 BOOTSTRAP", "1")).await;
    assert!(is_retry(&asked, "1"), "{asked:?}");
    let accepted = acs.connect().await.exchange("", inform("R-2", "0 BOOTSTRAP", "2")).await;
    assert!(is_accepted(&accepted), "{accepted:?}");
    assert_ne!(cookie(&accepted), cookie(&asked), "who comes without the cookie is not given it");
    assert_eq!(acs.driver.open_sessions(), 1);
}

#[tokio::test]
async fn a_second_hiccup_ends_the_session_with_503_whichever_way_the_inform_comes() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let acs = Acs::start(100);
    for (round, keeps) in [true, false].into_iter().enumerate() {
        acs.store.hiccup(2);
        let mut client = acs.connect().await;
        let asked = client.exchange("", inform("R-3", "0 BOOTSTRAP", "1")).await;
        assert!(is_retry(&asked, "1"), "{asked:?}");
        let refused = if keeps {
            let headers = format!("Cookie: {}\r\n", cookie(&asked));
            client.exchange(&headers, inform("R-3", "0 BOOTSTRAP", "1")).await
        } else {
            acs.connect().await.exchange("", inform("R-3", "0 BOOTSTRAP", "1")).await
        };
        assert_eq!((refused.status(), refused.header("Connection")), (503, vec!["close"]), "{refused:?}");
        let after: u64 = refused.header("Retry-After")[0].parse().unwrap();
        assert!((30..90).contains(&after), "{after}");
        assert_eq!(acs.driver.open_sessions(), 0, "the session is over");
        let text = figures.render();
        for line in [
            format!("acsd_inform_retries_total {}\n", round + 1),
            format!("acsd_cwmp_refused_total{{reason=\"store\"}} {}\n", round + 1),
            format!("acsd_sessions_total{{outcome=\"unrecorded\"}} {}\n", round + 1),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
    // And the next session has its own retry.
    acs.store.hiccup(1);
    let asked = acs.connect().await.exchange("", inform("R-3", "0 BOOTSTRAP", "9")).await;
    assert!(is_retry(&asked, "9"), "{asked:?}");
}

#[tokio::test]
async fn what_will_not_pass_is_503_at_once_and_so_is_a_hiccup_at_the_limit_of_sessions() {
    let acs = Acs::start(1);
    acs.store.hiccup(2);
    let asked = acs.connect().await.exchange("", inform("R-4", "0 BOOTSTRAP", "1")).await;
    assert!(is_retry(&asked, "1"), "{asked:?}");
    let refused = acs.connect().await.exchange("", inform("R-5", "0 BOOTSTRAP", "1")).await;
    assert_eq!(refused.status(), 503, "sessions that wait for their Inform count");
    let closed = Acs::start(100);
    closed.store.close().await.unwrap();
    let refused = closed.connect().await.exchange("", inform("R-4", "0 BOOTSTRAP", "1")).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(closed.driver.open_sessions(), 0);
}

/// The CPE does not say again that it is new.
#[tokio::test]
async fn a_first_contact_that_was_cut_short_is_taken_up_again() {
    let acs = Acs::start(100);
    let profile = Profile::fresh("R-8".try_into().unwrap(), Timestamp::default());
    let identity = DeviceIdentity::new("00D09E", "P", "R-8").unwrap();
    let key = acs.store.register(NewDevice { key: None, identity: Some(identity), profile }).await.unwrap().key;
    acs.store.hiccup(1);
    assert!(is_retry(&acs.connect().await.exchange("", inform("R-8", "2 PERIODIC", "1")).await, "1"));
    assert!(acs.store.device(key).await.unwrap().unwrap().state.last_inform.is_some(), "it is known now");
    assert!(acs.store.live(key).await.unwrap().is_empty(), "but got nothing");
    let mut client = acs.connect().await;
    assert!(is_accepted(&client.exchange("", inform("R-8", "2 PERIODIC", "2")).await));
    let live = acs.store.live(key).await.unwrap();
    let brought: Vec<&str> = live.iter().map(|live| live.work.operation()).collect();
    assert_eq!(brought, ["update_frequency", "connection_request"]);
    assert!(is_accepted(&acs.connect().await.exchange("", inform("R-8", "2 PERIODIC", "3")).await));
    assert_eq!(acs.store.live(key).await.unwrap().len(), 2, "once");
}

#[tokio::test]
async fn a_periodic_inform_needs_no_disk() {
    let acs = Acs::start(100);
    assert!(is_accepted(&acs.connect().await.exchange("", inform("R-6", "0 BOOTSTRAP", "1")).await));
    acs.store.hiccup(u32::MAX);
    assert!(is_accepted(&acs.connect().await.exchange("", inform("R-6", "2 PERIODIC", "2")).await));
    assert!(is_retry(&acs.connect().await.exchange("", inform("R-6", "1 BOOT", "3")).await, "3"));
}

#[tokio::test]
async fn a_simulated_cpe_sends_its_inform_again_and_completes() {
    let acs = Acs::start(100);
    let cpe = acsd::simulator::spawn(acs.cpe("R-7")).await.unwrap();
    acs.store.hiccup(1);
    let report = cpe.session(&[]).await.unwrap();
    assert_eq!((&report.outcome, report.informs, report.connections), (&Outcome::Completed, 2, 1), "{report:?}");
    assert!(report.is_clean() && report.violations.is_empty(), "{report:?}");
    assert!(report.messages[0].contains("8005") && report.messages[1].contains("InformResponse"));
    report.messages.iter().for_each(|message| crate::codec::schema::assert_emitted(message.as_bytes()));
    assert!(!report.rpcs.is_empty(), "and gets what a new device gets");
    assert_eq!(acs.driver.open_sessions(), 0);
    // The disk is still busy when it comes again: it has to come back later, and then nothing is missing.
    acs.store.hiccup(2);
    let report = cpe.session(&[EventCode::Boot]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Failed(SessionFailure::Status(503)));
    assert_eq!(report.informs, 2);
    let report = cpe.session(&[]).await.unwrap();
    assert_eq!((&report.outcome, report.retry_count, report.informs), (&Outcome::Completed, 1, 1));
    assert!(report.has_event(EventCode::Boot), "{report:?}");
    cpe.stop().await;
}
