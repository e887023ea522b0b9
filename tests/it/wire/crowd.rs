//! Crowds of peers that dawdle: each is cut off in its time, and nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use acsd::acs::listen::ListenConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::harness::{Client, Server, Told, secs, within};

/// Sends the head at once and then byte after byte, for as long as it is let.
async fn trickle(address: SocketAddr, head: &'static str, rest: &'static [u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in rest.iter().cycle() {
        // A write to a connection that was cut fails at the latest the second time.
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        if timeout(Duration::from_millis(100), stream.read_u8()).await.is_ok() {
            return;
        }
    }
}

#[tokio::test]
async fn hundreds_of_trickling_senders_are_cut_off_and_hold_up_nobody() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let config = secs(2, |config, secs| config.request_timeout_secs = secs);
    let mut server = Server::start(config);
    let table: [(&str, &[u8]); 5] = [
        ("POST", b"T"),
        ("POST / HTTP/1.1\r\nHost: a\r\nX: ", b"x"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"e"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ];
    let mut slow = JoinSet::new();
    for (head, rest) in table.into_iter().cycle().take(300) {
        slow.spawn(trickle(server.address, head, rest));
    }
    // All the while others are served at once.
    let mut served = 0;
    let mut gone = 0;
    while !slow.is_empty() {
        let mut client = server.connect().await;
        let answered = timeout(Duration::from_secs(1), client.exchange("", "")).await;
        assert_eq!(answered.expect("nobody waits for them").status(), 204);
        served += 1;
        drop(client);
        while let Ok(told) = server.told.try_recv() {
            gone += usize::from(matches!(told, Told::Gone(_)));
        }
        while slow.try_join_next().is_some() {}
    }
    while gone < served + 300 {
        gone += usize::from(matches!(server.next().await, Told::Gone(_)));
    }
    let text = figures.render();
    assert!(text.contains("acsd_cwmp_refused_total{reason=\"request_timeout\"} 300\n"), "{text}");
}

#[tokio::test]
async fn who_never_reads_its_answers_is_cut_off() {
    let config = secs(1, |config, secs| config.idle_timeout_secs = secs);
    let mut server = Server::start(config);
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = within(socket.connect(server.address)).await.unwrap();
        let mut client = Client { stream, read: Vec::new() };
        // More than the kernel takes off our hands.
        for _ in 0..8 {
            client.send_post("", "big").await;
        }
        deaf.push(client);
    }
    let mut gone = 0;
    let mut posts = 0;
    let mut other = server.connect().await;
    while gone < deaf.len() {
        match server.next().await {
            Told::Gone(_) => gone += 1,
            Told::Post(_) => posts += 1,
        }
    }
    assert!(posts < 20 * 8, "who does not read is not asked for more: {posts}");
    other.closed().await;
    assert_eq!(server.connect().await.exchange("", "").await.status(), 204);
}

#[tokio::test]
async fn an_ipv6_site_has_a_limit_of_connections() {
    let config =
        ListenConfig { max_connections_per_address: 2, unlimited_networks: Vec::new(), ..ListenConfig::default() };
    let mut server = Server::start_on("[::]:0", config, None);
    if server.address.is_ipv4() {
        // This machine has no IPv6.
        return;
    }
    let v6 = SocketAddr::new("::1".parse().unwrap(), server.address.port());
    let connect = async |address: SocketAddr| {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        Client { stream, read: Vec::new() }
    };
    let (mut first, mut second) = (connect(v6).await, connect(v6).await);
    assert_eq!(first.exchange("", "").await.status(), 204);
    assert_eq!(second.exchange("", "").await.status(), 204);
    connect(v6).await.closed().await;
    // Over IPv4 it is another site, also on the same socket.
    let v4 = SocketAddr::new("127.0.0.1".parse().unwrap(), server.address.port());
    assert_eq!(connect(v4).await.exchange("", "").await.status(), 204);
    drop(first);
    while !matches!(server.next().await, Told::Gone(_)) {}
    drop(second);
}
