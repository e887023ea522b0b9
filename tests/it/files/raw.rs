//! Requests as CPEs really write them.

use acsd::files::Target;
use acsd::model::device_type::FileLogin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use digest_auth::{AuthContext, HttpMethod};

use super::{Server, bytes, sum};

#[tokio::test]
async fn a_login_that_nobody_asked_for_is_no_trouble() {
    let server = Server::start().await;
    let data = bytes(1_000);
    let id = server.image("x", &data).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    let digest =
        "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"0123456789abcdef0123456789abcdef\"";
    for presented in ["Basic dTpw", "Basic ?", digest, "Digest", "Bearer x", "", "\u{e4}\u{f6}"] {
        for method in ["HEAD", "GET"] {
            let reply = server.ask(method, &link.path, &format!("Authorization: {presented}\r\n"), b"").await;
            assert_eq!(reply.status(), 200, "{method} {presented}");
        }
        let (transaction, upload) = server.order(FileLogin::None).await;
        let headers = format!("Authorization: {presented}\r\nContent-Length: 1000\r\n");
        assert_eq!(server.ask("PUT", &upload.path, &headers, &data).await.status(), 201, "{presented}");
        assert!(server.files.arrived(transaction).is_some());
    }
}

#[tokio::test]
async fn both_schemes_are_offered_and_taken_where_a_digest_is_wanted() {
    let server = Server::start().await;
    let data = bytes(1_000);
    let id = server.image("x", &data).await;
    let link = server.link(Target::Image(id), FileLogin::Digest);
    let asked = server.ask("HEAD", &link.path, "", b"").await;
    assert_eq!(asked.status(), 401);
    let offered: Vec<&str> = asked.head.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: ")).collect();
    assert_eq!(offered.len(), 2, "both spelt as CPEs look for them: {}", asked.head);
    assert!(offered[0].starts_with("Digest ") && offered[1].starts_with("Basic "), "{offered:?}");
    let password = link.password.expose();
    let pair = STANDARD.encode(format!("{}:{password}", link.username));
    for basic in [format!("Basic {pair}"), format!("basic {pair}"), format!("BASIC  {}", pair.trim_end_matches('='))] {
        assert_eq!(server.get(&link.path, &format!("Authorization: {basic}\r\n")).await.status(), 200, "{basic}");
    }
    // As one that was written before RFC 2617 does, over HTTP/1.0, a connection for each request.
    let mut prompt = digest_auth::parse(offered[0]).unwrap();
    prompt.qop = None;
    for (method, name) in [(HttpMethod::HEAD, "HEAD"), (HttpMethod::GET, "GET")] {
        let context = AuthContext::new_with_method(&link.username, password, &link.path, None::<&[u8]>, method);
        let answer = prompt.respond(&context).unwrap();
        let mut client = server.connect().await;
        client.send(format!("{name} {} HTTP/1.0\r\nAuthorization: {answer}\r\n\r\n", link.path)).await;
        let reply = client.reply(name).await;
        assert_eq!((reply.status(), reply.header("content-length")), (200, "1000"), "{name}");
        client.closed().await;
    }
    // A type of which Basic is wanted is offered nothing that it might get wrong instead.
    let link = server.link(Target::Image(id), FileLogin::Basic);
    let asked = server.get(&link.path, "").await;
    assert_eq!(asked.head.matches("WWW-Authenticate: ").count(), 1, "{}", asked.head);
}

#[tokio::test]
async fn whole_addresses_stand_in_requests() {
    let server = Server::start().await;
    let data = bytes(1_000);
    let id = server.image("x", &data).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    let whole = format!("http://acs.example.net:7547{}", link.path);
    assert_eq!(server.get(&whole, "").await.body, data);
    assert_eq!(server.get(&whole, "Range: bytes=0-4\r\n").await.body, data[..5]);
    let mut client = server.connect().await;
    client.send(format!("GET {whole} HTTP/1.0\r\n\r\n")).await;
    assert_eq!(client.reply("GET").await.body, data);

    let (transaction, upload) = server.order(FileLogin::Digest).await;
    let whole = format!("http://acs.example.net:7547{}", upload.path);
    let sized = format!("Content-Length: {}\r\n", data.len());
    let mut client = server.connect().await;
    let asked = client.ask("PUT", &whole, &sized, &data).await;
    let mut prompt = digest_auth::parse(asked.header("www-authenticate")).unwrap();
    let password = upload.password.expose();
    let context = AuthContext::new_with_method(&upload.username, password, &whole, None::<&[u8]>, HttpMethod::PUT);
    let answer = prompt.respond(&context).unwrap();
    let reply = client.ask("PUT", &whole, &format!("Authorization: {answer}\r\n{sized}"), &data).await;
    assert_eq!(reply.status(), 201);
    assert_eq!(server.stored(transaction).await.as_deref(), Some(&data[..]));
}

#[tokio::test]
async fn downloads_go_on_where_they_broke_off_if_it_is_still_the_same_file() {
    let server = Server::start().await;
    let data = bytes(10_000);
    let id = server.image("x", &data).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    let mut client = server.connect().await;
    let head = client.ask("HEAD", &link.path, "", b"").await;
    let (etag, date) = (head.header("etag").to_owned(), head.header("last-modified").to_owned());
    let table = [
        (etag.clone(), "bytes=9000-", 206, &data[9_000..]),
        (date, "bytes=9000-", 206, &data[9_000..]),
        ("\"another\"".to_owned(), "bytes=9000-", 200, &data[..]),
        (format!("W/{etag}"), "bytes=9000-", 200, &data[..]),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), "bytes=9000-", 200, &data[..]),
        (etag.clone(), "bytes=0-0,-1", 200, &data[..]),
        (etag.clone(), "bytes=0-1, 2-3, 4-5, 9999-", 200, &data[..]),
        (etag, "bytes=10000-", 416, &[][..]),
    ];
    for (condition, range, status, want) in table {
        let headers = format!("If-Range: {condition}\r\nRange: {range}\r\n");
        let reply = client.ask("GET", &link.path, &headers, b"").await;
        let body = if status == 416 { &[][..] } else { reply.body.as_slice() };
        assert_eq!((reply.status(), body == want), (status, true), "{headers}");
    }
}

#[tokio::test]
async fn methods_have_capital_letters() {
    let server = Server::start().await;
    let id = server.image("x", &bytes(10)).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    for method in ["get", "Get", "head", "OPTIONS"] {
        let reply = server.ask(method, &link.path, "", b"").await;
        assert_eq!((reply.status(), reply.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    let (transaction, upload) = server.order(FileLogin::None).await;
    for method in ["put", "PATCH", "DELETE"] {
        let reply = server.ask(method, &upload.path, "Content-Length: 1\r\n", b"x").await;
        assert_eq!((reply.status(), reply.header("allow")), (405, "PUT, POST"), "{method}");
    }
    assert_eq!(server.files.arrived(transaction), None);
}

#[tokio::test]
async fn an_upload_is_whole_or_refused() {
    let server = Server::start().await;
    let (transaction, link) = server.order(FileLogin::None).await;
    for range in ["bytes 0-3/8", "bytes 4-7/8", "bytes 0-3/*", "chapter 4"] {
        let headers = format!("Content-Length: 4\r\nContent-Range: {range}\r\n");
        assert_eq!(server.ask("PUT", &link.path, &headers, b"data").await.status(), 400, "{range}");
        assert_eq!(server.files.arrived(transaction), None, "a part is no file: {range}");
    }
    let headers = "Content-Length: 4\r\nContent-Range: bytes 0-3/4\r\n";
    assert_eq!(server.ask("PUT", &link.path, headers, b"data").await.status(), 201, "that is all of it");
    assert!(server.files.arrived(transaction).is_some());
}

#[tokio::test]
async fn uploads_say_how_long_they_are_or_are_told_to() {
    let server = Server::start().await;
    let (transaction, link) = server.order(FileLogin::None).await;
    for request in [
        format!("PUT {} HTTP/1.1\r\nHost: a\r\n\r\n", link.path),
        format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\r\n", link.path),
        // It would end its file by closing the connection.
        format!("PUT {} HTTP/1.0\r\n\r\nwhat follows", link.path),
    ] {
        let mut client = server.connect().await;
        client.send(&request).await;
        assert_eq!(client.reply("PUT").await.status(), 411, "{request}");
        client.closed().await;
        assert_eq!(server.files.arrived(transaction), None, "nothing was taken for an empty file: {request}");
    }
    let table = [
        format!("PUT {} HTTP/1.0\r\nContent-Length: 4\r\n\r\ndata", link.path),
        format!("PUT {} HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 4\r\n\r\ndata", link.path),
        format!(
            "PUT {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\ndata\r\n0\r\nX: y\r\n\r\n",
            link.path
        ),
        format!(
            "POST {} HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nda\r\n02\r\nta\r\n0\r\n\r\n",
            link.path
        ),
        format!(
            "PUT {}/device.cfg HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Type: text/xml\r\n\r\ndata",
            link.path
        ),
    ];
    for request in table {
        let (transaction, fresh) = server.order(FileLogin::None).await;
        let request = request.replace(&link.path, &fresh.path);
        let mut client = server.connect().await;
        client.send(&request).await;
        assert!(matches!(client.reply("PUT").await.status(), 200 | 201), "{request}");
        assert_eq!(server.stored(transaction).await.as_deref(), Some(&b"data"[..]), "{request}");
    }
}

#[tokio::test]
async fn a_form_is_read_whatever_the_device_was_told() {
    let server = Server::start().await;
    let data = bytes(200_000);
    let form = |disposition: &str| {
        let head =
            format!("--b\r\nContent-Disposition: {disposition}\r\nContent-Type: application/octet-stream\r\n\r\n");
        [head.as_bytes(), &data, b"\r\n--b--\r\n"].concat()
    };
    let dispositions = [
        "form-data; name=\"userfile\"; filename=\"c.cfg\"",
        "form-data; name=f; filename=c",
        "form-data; filename=\"c\"",
    ];
    for disposition in dispositions {
        for (method, framing) in [("PUT", "sized"), ("POST", "sized"), ("POST", "chunked"), ("PUT", "asking")] {
            let (transaction, link) = server.order(FileLogin::None).await;
            let body = form(disposition);
            let mut client = server.connect().await;
            let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
            let length = body.len();
            match framing {
                "sized" => {
                    let headers = format!("{kind}Content-Length: {length}\r\n");
                    client
                        .send(
                            [format!("{method} {} HTTP/1.1\r\nHost: a\r\n{headers}\r\n", link.path).as_bytes(), &body]
                                .concat(),
                        )
                        .await;
                }
                "chunked" => {
                    let head = format!(
                        "{method} {} HTTP/1.1\r\nHost: a\r\n{kind}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n",
                        link.path
                    );
                    client.send([head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()).await;
                }
                _ => {
                    let head = format!(
                        "{method} {} HTTP/1.1\r\nHost: a\r\n{kind}Expect: 100-Continue\r\nContent-Length: {length}\r\n\r\n",
                        link.path
                    );
                    client.send(head).await;
                    assert!(client.head().await.starts_with("HTTP/1.1 100"));
                    client.send(&body).await;
                }
            }
            let reply = client.reply(method).await;
            assert!(matches!(reply.status(), 200 | 201), "{method} {framing} {disposition}: {}", reply.head);
            assert_eq!(server.stored(transaction).await.map(|file| sum(&file)), Some(sum(&data)), "{disposition}");
        }
    }
}
