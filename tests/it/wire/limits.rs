//! The endpoint's limits, at the limit and over it.

use std::time::Duration;

use acsd::acs::listen::ListenConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::harness::{ENVELOPE, Server, Told, gzip, secs, within};

#[tokio::test]
async fn limits_hold_exactly_and_refusals_are_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let config = ListenConfig {
        max_body_bytes: 1000,
        max_inflated_bytes: 5000,
        max_bodies_bytes: 6000,
        max_header_bytes: 1024,
        ..ListenConfig::default()
    };
    let mut server = Server::start(config);
    let chunked = |len: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(len)
        )
    };
    let plain = |len: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{}", "x".repeat(len));
    let claimed =
        |len: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {len}\r\n\r\n");
    let zipped = |len: usize| {
        let body = gzip(&vec![b'x'; len]);
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    };
    let padded = |len: usize| {
        let head = "POST / HTTP/1.1\r\nContent-Length: 1\r\nX: ";
        format!("{head}{}\r\n\r\n1", "x".repeat(len - head.len() - 4))
    };
    let table: [(&str, Vec<u8>, u16); 11] = [
        ("body at the limit", plain(1000).into(), 200),
        ("body over the limit", plain(1001).into(), 413),
        ("body over the limit, not yet sent", claimed(1001).into(), 413),
        ("absurd length", claimed(usize::MAX >> 1).into(), 413),
        ("chunked at the limit", chunked(1000).into(), 200),
        ("chunked over the limit", chunked(1001).into(), 413),
        ("inflated at the limit", zipped(5000), 200),
        ("inflated over the limit", zipped(5001), 413),
        ("inflate bomb", zipped(200_000), 413),
        ("headers at the limit", padded(1024).into(), 200),
        ("headers over the limit", padded(1025).into(), 431),
    ];
    for (case, request, status) in table {
        let mut client = server.connect().await;
        client.send(request).await;
        assert_eq!(client.reply().await.status(), status, "{case}");
        if status == 200 {
            server.post().await;
            drop(client);
            assert!(matches!(server.next().await, Told::Gone(_)));
        } else {
            client.closed().await;
            assert!(matches!(server.next().await, Told::Gone(_)), "{case}: nothing reached the exchange");
        }
    }
    let text = figures.render();
    for (reason, count) in [("body_too_large", 4), ("inflated_too_large", 2), ("protocol", 1)] {
        let line = format!("acsd_cwmp_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(text.contains("\nacsd_cwmp_connections "), "{text}");
}

#[tokio::test]
async fn bodies_share_a_memory_budget_that_is_given_back() {
    let config = ListenConfig { max_bodies_bytes: 1000, ..ListenConfig::default() };
    let mut server = Server::start(config);
    let mut first = server.connect().await;
    first.send_post("", format!("{:<700}", "wait")).await;
    server.post().await;
    let mut second = server.connect().await;
    let refused = second.exchange("", "x".repeat(700)).await;
    assert_eq!((refused.status(), refused.header("Retry-After")), (503, vec!["30"]));
    server.recorder.release.add_permits(1);
    assert_eq!(first.reply().await.status(), 204);
    assert_eq!(first.exchange("", "x".repeat(700)).await.status(), 200);
}

#[tokio::test]
async fn slow_senders_are_cut_off_wherever_they_dawdle() {
    let config = secs(1, |config, secs| config.request_timeout_secs = secs);
    let mut server = Server::start(config);
    let requests = [
        "P",
        "POST / HTTP/1.1\r\nHost:",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ];
    let mut clients = Vec::new();
    for bytes in requests {
        let mut client = server.connect().await;
        client.send(bytes).await;
        clients.push(client);
    }
    for client in &mut clients {
        client.closed().await;
    }
    for _ in &clients {
        assert!(matches!(server.next().await, Told::Gone(_)), "none reached the exchange");
    }
    // Trickling bytes does not extend the time for the whole.
    let mut client = server.connect().await;
    let trickle = async {
        while client.stream.write_all(b"P").await.is_ok() {
            tokio::task::yield_now().await;
            if timeout(Duration::from_millis(50), client.stream.read_u8()).await.is_ok() {
                break;
            }
        }
    };
    within(trickle).await;
}

#[tokio::test]
async fn idle_connections_are_closed_but_an_exchange_may_take_its_time() {
    let config = secs(1, |config, secs| (config.idle_timeout_secs, config.request_timeout_secs) = (secs, secs));
    let mut server = Server::start(config);
    server.connect().await.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));

    let mut slow = server.connect().await;
    slow.send_post("", "wait").await;
    server.post().await;
    // A later connection's whole idle time passes while the exchange works.
    server.connect().await.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));
    server.recorder.release.add_permits(1);
    assert_eq!(slow.reply().await.status(), 204);
    slow.closed().await;
}

#[tokio::test]
async fn a_content_length_that_lies_does_not_lose_a_complete_envelope() {
    let config = secs(1, |config, secs| config.stall_timeout_secs = secs);
    let mut server = Server::start(config);
    let request = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{body}");
    let mut stalled = server.connect().await;
    stalled.send(request(ENVELOPE)).await;
    let reply = stalled.reply().await;
    assert_eq!((reply.status(), reply.header("Connection")), (200, vec!["close"]));
    assert_eq!(server.post().await.body, ENVELOPE);
    stalled.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));

    let mut ended = server.connect().await;
    ended.send(request(ENVELOPE)).await;
    within(ended.stream.shutdown()).await.unwrap();
    assert_eq!(ended.reply().await.status(), 200);
    assert_eq!(server.post().await.body, ENVELOPE);
    ended.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));

    let mut torn = server.connect().await;
    torn.send(request("<s:Envelope><s:Bo")).await;
    assert_eq!(torn.reply().await.status(), 408);
    torn.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));
}

#[tokio::test]
async fn an_address_has_a_limit_of_connections_and_so_have_all() {
    let limits = [
        ListenConfig { max_connections_per_address: 2, unlimited_networks: Vec::new(), ..ListenConfig::default() },
        ListenConfig { max_connections: 2, ..ListenConfig::default() },
    ];
    for config in limits {
        let mut server = Server::start(config);
        let (mut first, mut second) = (server.connect().await, server.connect().await);
        assert_eq!(first.exchange("", "").await.status(), 204);
        assert_eq!(second.exchange("", "").await.status(), 204);
        server.connect().await.closed().await;
        drop(first);
        while !matches!(server.next().await, Told::Gone(_)) {}
        let reply = async {
            loop {
                // The permit comes back a moment after the exchange is told.
                let mut third = server.connect().await;
                third.send_post("", "").await;
                if matches!(third.fill().await, Ok(1..)) {
                    return third.reply().await;
                }
            }
        };
        assert_eq!(within(reply).await.status(), 204);
    }
}
