//! The whole way over IPv6: sessions, connection requests, and IPv4 on the same socket.

use acsd::simulator::{ConnectionRequests, Outcome};
use acsd::types::event::EventCode;
use serde_json::json;

use crate::support::{Acs, Cpe, config};

const UPTIME: &str = "Device.DeviceInfo.UpTime";

/// Whether this machine has a loopback of IPv6.
fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

/// Where acsd saw a device last.
async fn address_of(acs: &Acs, serial: &str) -> String {
    let device = acs.daemon.store.by_serial(serial).await.unwrap().unwrap();
    device.state.address.unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cpe_on_ipv6_is_served_and_called_by_its_literal() {
    if !has_ipv6() {
        return;
    }
    for listen in ["[::1]:0", "[::]:0"] {
        let mut config = config();
        config.cwmp.listen = listen.parse().unwrap();
        let acs = Acs::start(config).await;
        let mut cpe = acs.cpe("V6-1");
        cpe.acs_url = format!("http://[::1]:{}/acs", acs.daemon.cwmp_address.port());
        cpe.connection_requests = ConnectionRequests::Own("[::1]:0".parse().unwrap());
        let cpe = Cpe::spawn(cpe).await;
        assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Completed, "{listen}");
        let url = cpe.value("Device.ManagementServer.ConnectionRequestURL").unwrap();
        assert!(url.starts_with("http://[::1]:"), "{url}");
        let row = acs.headless("V6-1", "get", json!([{"variable_name": UPTIME}])).await;
        assert_eq!(row["status"], "completed", "{listen}: {row}");
        assert_eq!(address_of(&acs, "V6-1").await, "::1", "{listen}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cpe_on_ipv4_is_itself_on_a_socket_for_both() {
    if !has_ipv6() {
        return;
    }
    let mut config = config();
    config.cwmp.listen = "[::]:0".parse().unwrap();
    let acs = Acs::start(config).await;
    let mut cpe = acs.cpe("V4-MAPPED");
    cpe.acs_url = format!("http://127.0.0.1:{}/acs", acs.daemon.cwmp_address.port());
    let cpe = Cpe::spawn(cpe).await;
    assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Completed);
    assert_eq!(address_of(&acs, "V4-MAPPED").await, "127.0.0.1", "unwrapped");
    let row = acs.headless("V4-MAPPED", "get", json!([{"variable_name": UPTIME}])).await;
    assert_eq!(row["status"], "completed", "the policy knows it by the unwrapped address: {row}");
    let report = cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    cpe.finish().await;
}
