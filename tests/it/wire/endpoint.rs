//! The HTTP rules of cwmp.md §1.1, and shutdown.

use std::io::Write as _;
use std::net::SocketAddr;

use acsd::acs::exchange::Transport;
use acsd::acs::listen::{Drained, ListenConfig};
use flate2::Compression;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::harness::{Client, ENVELOPE, Server, TOKEN, Told, gzip, secs, within};

#[tokio::test]
async fn a_session_s_posts_share_one_connection() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    let headers = "Content-Type: text/xml; charset=ISO-8859-1\r\nAuthorization: Digest x\r\ncookie: $Version=1; acsd=\"00000000000000000000000000000abc\"\r\nSOAPAction:\r\n";
    let reply = client.exchange(headers, ENVELOPE).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.header("Content-Type"), ["text/xml; charset=\"utf-8\""]);
    assert_eq!(reply.header("Content-Length"), ["9"]);
    assert_eq!(reply.header("Set-Cookie"), ["acsd=00000000000000000000000000000abc; Path=/"]);
    assert!(reply.header("Transfer-Encoding").is_empty() && reply.header("Connection").is_empty());
    assert_eq!(reply.body, b"<answer/>");

    let post = server.post().await;
    assert_eq!(post.body, ENVELOPE);
    assert_eq!(post.cookie, Some(TOKEN));
    assert_eq!(post.authorization.as_deref(), Some("Digest x"));
    assert_eq!(post.charset.as_deref(), Some("ISO-8859-1"));
    assert_eq!(&*post.target, "/acs?x=1");
    assert_eq!(post.transport, Transport::Plain);
    assert_eq!(post.peer, client.stream.local_addr().unwrap());

    let reply = client.exchange("", "").await;
    assert_eq!(reply.status(), 204);
    assert!(reply.header("Content-Type").is_empty() && reply.body.is_empty());
    let empty = server.post().await;
    assert_eq!((empty.connection, empty.cookie, empty.authorization), (post.connection, None, None));

    drop(client);
    assert!(matches!(server.next().await, Told::Gone(id) if id == post.connection));
}

#[tokio::test]
async fn every_answer_is_written_as_cpes_need_it() {
    let mut server = Server::start(ListenConfig::default());
    let table = [
        ("challenge", 401, "keep"),
        ("malformed", 400, "close"),
        ("forbidden", 403, "close"),
        ("busy", 503, "close"),
        ("bye", 204, "close"),
        ("big", 200, "keep"),
    ];
    for (body, status, connection) in table {
        let mut client = server.connect().await;
        let reply = client.exchange("", body).await;
        assert_eq!(reply.status(), status, "{body}");
        assert!(reply.header("Transfer-Encoding").is_empty(), "{body}");
        match status {
            401 => assert_eq!(reply.header("WWW-Authenticate"), ["Digest realm=\"r\""], "{}", reply.head),
            503 => assert_eq!(reply.header("Retry-After"), ["2"]),
            400 => assert_eq!(reply.body, b"no Inform\n"),
            403 => assert_eq!(reply.body, b"not wanted\n"),
            200 => assert_eq!(reply.body.len(), 1 << 20),
            _ => assert!(reply.body.is_empty()),
        }
        assert_eq!(reply.head.to_lowercase().matches("www-authenticate").count(), usize::from(status == 401));
        if connection == "close" {
            assert_eq!(reply.header("Connection"), ["close"], "{body}");
            client.closed().await;
        } else {
            assert_eq!(client.exchange("", "").await.status(), 204, "{body}: the connection lives");
            server.post().await;
        }
        server.post().await;
        drop(client);
        assert!(matches!(server.next().await, Told::Gone(_)));
    }
}

#[tokio::test]
async fn a_connection_per_post_works_and_each_has_its_id() {
    let mut server = Server::start(ListenConfig::default());
    let mut ids = Vec::new();
    for version in ["1.1", "1.0"] {
        let mut client = server.connect().await;
        client
            .send(format!("POST / HTTP/{version}\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1"))
            .await;
        assert_eq!(client.reply().await.status(), 200);
        client.closed().await;
        ids.push(server.post().await.connection);
        assert!(matches!(server.next().await, Told::Gone(id) if id == *ids.last().unwrap()));
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_cpe_that_closes_its_side_after_the_post_is_still_answered() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send_post("", "wait").await;
    within(client.stream.shutdown()).await.unwrap();
    server.post().await;
    server.recorder.release.add_permits(1);
    assert_eq!(client.reply().await.status(), 204);
    client.closed().await;
}

#[tokio::test]
async fn a_cpe_that_is_gone_after_the_post_is_still_heard_to_the_end() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send_post("", "wait").await;
    let post = server.post().await;
    drop(client);
    server.recorder.release.add_permits(1);
    assert!(matches!(server.next().await, Told::Gone(id) if id == post.connection));
    assert_eq!(server.recorder.release.available_permits(), 0, "the exchange ran to its end");
}

#[tokio::test]
async fn chunked_bodies_come_in_any_pieces() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab").await;
    client.send("cd\r\n1;ext=1\r\ne\r\n").await;
    client.send("0\r\nTrailer: x\r\n\r\n").await;
    assert_eq!(client.reply().await.status(), 200);
    assert_eq!(server.post().await.body, "abcde");
    assert_eq!(client.exchange("", "").await.status(), 204);
    server.post().await;
    // Both framings at once: chunks win, and the connection ends (RFC 9112 §6.1).
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(client.reply().await.status(), 200);
    assert_eq!(server.post().await.body, "x");
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_at_once() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(client.reply().await.status(), 100);
    client.send("abc").await;
    assert_eq!(client.reply().await.status(), 200);
    assert_eq!(server.post().await.body, "abc");
}

#[tokio::test]
async fn other_methods_are_405_and_stray_lines_between_requests_are_swallowed() {
    let server = Server::start(ListenConfig::default());
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let mut client = server.connect().await;
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status(), reply.header("Allow")), (405, vec!["POST"]), "{method}");
        client.send("\r\n\r\n").await;
        assert_eq!(client.exchange("", "").await.status(), 204);
    }
}

#[tokio::test]
async fn compressed_bodies_are_inflated_whatever_the_header_calls_them() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    let zlib = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(ENVELOPE.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let raw = {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(ENVELOPE.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let table = [
        ("gzip", gzip(ENVELOPE.as_bytes())),
        ("x-gzip", gzip(ENVELOPE.as_bytes())),
        ("GZip", gzip(ENVELOPE.as_bytes())),
        ("deflate", gzip(ENVELOPE.as_bytes())),
        ("identity", gzip(ENVELOPE.as_bytes())),
        ("deflate", zlib.clone()),
        ("deflate", raw),
        ("gzip", zlib),
        ("gzip", ENVELOPE.as_bytes().to_vec()),
        ("identity", ENVELOPE.as_bytes().to_vec()),
    ];
    for (case, (coding, body)) in table.into_iter().enumerate() {
        let reply = client.exchange(&format!("Content-Encoding: {coding}\r\n"), body).await;
        assert_eq!(reply.status(), 200, "{case} {coding}");
        assert_eq!(server.post().await.body, ENVELOPE, "{case} {coding}");
    }
}

#[tokio::test]
async fn broken_and_unknown_compression_is_refused() {
    let mut torn = gzip(ENVELOPE.as_bytes());
    torn.truncate(torn.len() - 10);
    let table = [
        ("br", b"x".to_vec(), 415),
        ("gzip, gzip", b"x".to_vec(), 415),
        ("gzip", torn, 400),
        ("gzip", b"\xff\xff\xff\xff".to_vec(), 400),
    ];
    let server = Server::start(ListenConfig::default());
    for (coding, body, status) in table {
        let mut client = server.connect().await;
        assert_eq!(
            client.exchange(&format!("Content-Encoding: {coding}\r\n"), body).await.status(),
            status,
            "{coding}"
        );
        client.closed().await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_turned_away_and_harms_nobody() {
    let mut server = Server::start(ListenConfig::default());
    let mut good = server.connect().await;
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "hello\r\n\r\n",
        "POST / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(bytes).await;
        client.closed().await;
        assert!(matches!(server.next().await, Told::Gone(_)), "{bytes:?}");
    }
    assert_eq!(good.exchange("", "").await.status(), 204);
}

#[tokio::test]
async fn a_panic_costs_its_own_connection_only() {
    let mut server = Server::start(ListenConfig::default());
    let (mut unlucky, mut other) = (server.connect().await, server.connect().await);
    assert_eq!(other.exchange("", "").await.status(), 204);
    server.post().await;
    unlucky.send_post("", "panic").await;
    unlucky.closed().await;
    let post = server.post().await;
    assert!(matches!(server.next().await, Told::Gone(id) if id == post.connection), "also told of this end");
    assert_eq!(other.exchange("", "").await.status(), 204);
    assert_eq!(server.connect().await.exchange("", "").await.status(), 204);
}

#[tokio::test]
async fn both_families_are_served_and_mapped_addresses_unwrapped() {
    let mut server = Server::start_on("[::]:0", ListenConfig::default(), None);
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), server.address.port());
        let stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            // This machine has no IPv6: `[::]` then means `0.0.0.0`.
            Err(_) if address.is_ipv6() && server.address.is_ipv4() => continue,
            Err(trouble) => panic!("{address}: {trouble}"),
        };
        let mut client = Client { stream, read: Vec::new() };
        assert_eq!(client.exchange("", "").await.status(), 204);
        assert_eq!(server.post().await.peer.ip(), address.ip());
        drop(client);
        assert!(matches!(server.next().await, Told::Gone(_)));
    }
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_lets_sessions_end() {
    let mut server = Server::start(ListenConfig::default());
    let (mut fresh, mut idle, mut session, mut busy) =
        (server.connect().await, server.connect().await, server.connect().await, server.connect().await);
    assert_eq!(idle.exchange("", "").await.status(), 204);
    assert_eq!(session.exchange("", ENVELOPE).await.status(), 200);
    busy.send_post("", "wait").await;
    for _ in 0..3 {
        server.post().await;
    }
    server.shutdown.cancel();
    fresh.closed().await;
    idle.closed().await;
    server.recorder.release.add_permits(1);
    assert_eq!(busy.reply().await.status(), 204);
    busy.closed().await;
    assert_eq!(session.exchange("", ENVELOPE).await.status(), 200, "its session goes on");
    assert_eq!(session.exchange("", "").await.status(), 204);
    session.closed().await;
    assert_eq!(within(&mut server.served).await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let config = secs(1, |config, secs| config.drain_timeout_secs = secs);
    let mut server = Server::start(config);
    let mut stuck = server.connect().await;
    stuck.send_post("", "wait").await;
    server.post().await;
    server.shutdown.cancel();
    assert_eq!(within(&mut server.served).await.unwrap(), Drained { cut: 1 });
    stuck.closed().await;
}
