//! Who gets in, and as whom.

use acsd::acs::gate::{AuthMode, OnboardingMode};
use acsd::simulator::{Outcome, SessionFailure};
use acsd::types::event::EventCode;

use crate::support::{Acs, Cpe, config};

const REFUSED: Outcome = Outcome::Failed(SessionFailure::Unauthorized);

#[tokio::test(flavor = "multi_thread")]
async fn basic_works_as_well() {
    let mut config = config();
    config.cwmp.auth = AuthMode::Basic;
    let acs = Acs::start(config).await;
    let cpe = Cpe::spawn(acs.cpe("SEC-1")).await;
    for _ in 0..2 {
        assert_eq!(cpe.session(&[EventCode::Periodic]).await.unwrap().outcome, Outcome::Completed);
    }
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_authentication_devices_come_and_keep_their_logins() {
    let mut config = config();
    config.cwmp.auth = AuthMode::None;
    let acs = Acs::start(config).await;
    let cpe = Cpe::spawn(acs.cpe("SEC-2")).await;
    let report = cpe.session(&[]).await.unwrap();
    assert_eq!((&report.outcome, report.challenges), (&Outcome::Completed, 0));
    assert_eq!(cpe.value("Device.ManagementServer.Password").as_deref(), Some(crate::support::PASSWORD));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_gets_nobody_in() {
    let acs = Acs::start(config()).await;
    let cpe = acsd::simulator::spawn(acs.cpe("SEC-3").credentials(crate::support::USER, "wrong")).await.unwrap();
    assert_eq!(cpe.session(&[]).await.unwrap().outcome, REFUSED);
    assert_eq!(acs.call("GET", "/inventory_device_serial/SEC-3/", None).await.status, 404, "not even registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_s_login_is_no_other_device_s() {
    let acs = Acs::start(config()).await;
    let victim = Cpe::spawn(acs.cpe("VICTIM")).await;
    victim.session(&[]).await.unwrap();
    let thief = Cpe::spawn(acs.cpe("THIEF")).await;
    thief.session(&[]).await.unwrap();
    victim.session(&[EventCode::Periodic]).await.unwrap();
    let login = |leaf: &str| thief.value(&format!("Device.ManagementServer.{leaf}")).unwrap();
    let mut posing = acs.cpe("VICTIM").credentials(login("Username"), login("Password"));
    posing.autonomy = acsd::simulator::Autonomy::OnDemand;
    let posing = acsd::simulator::spawn(posing).await.unwrap();
    assert_eq!(posing.session(&[EventCode::Periodic]).await.unwrap().outcome, REFUSED);
    victim.finish().await;
    thief.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_means_that_strangers_stay_outside() {
    let mut config = config();
    config.cwmp.onboarding = OnboardingMode::Closed;
    let acs = Acs::start(config).await;
    let cpe = acsd::simulator::spawn(acs.cpe("SEC-4")).await.unwrap();
    assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Failed(SessionFailure::Status(403)));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_lets_a_stranger_in_once_and_then_wants_its_own_login() {
    let mut config = config();
    config.cwmp.onboarding = OnboardingMode::Open;
    (config.cwmp.onboarding_username, config.cwmp.onboarding_password) = (None, None);
    let acs = Acs::start(config).await;
    let mut stranger = acs.cpe("SEC-5");
    // The report has to be that of its very first session.
    stranger.autonomy = acsd::simulator::Autonomy::OnDemand;
    let cpe = Cpe::spawn(stranger).await;
    let report = cpe.session(&[]).await.unwrap();
    assert_eq!((&report.outcome, report.challenges), (&Outcome::Completed, 0), "unchallenged");
    assert_eq!(cpe.session(&[EventCode::Periodic]).await.unwrap().outcome, Outcome::Completed);
    // Its own login has been used by now if the device presents it; a stranger with its serial gets nothing.
    let mut stranger = acs.cpe("SEC-5").credentials("somebody", "else");
    stranger.autonomy = acsd::simulator::Autonomy::OnDemand;
    let stranger = acsd::simulator::spawn(stranger).await.unwrap();
    let outcome = stranger.session(&[EventCode::Periodic]).await.unwrap().outcome.clone();
    assert_eq!(outcome, REFUSED);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_refused_early_and_counted() {
    let mut config = config();
    config.cwmp.max_sessions = 1;
    let acs = Acs::start(config).await;
    let slow = Cpe::spawn(acs.cpe("SLOW").misbehave("no-empty-post".parse().unwrap())).await;
    slow.session(&[]).await.unwrap();
    let late = acsd::simulator::spawn(acs.cpe("LATE")).await.unwrap();
    assert_eq!(late.session(&[]).await.unwrap().outcome, Outcome::Failed(SessionFailure::Status(503)));
    slow.finish().await;
}
