//! Devices that have to log in.

use acsd::files::{Link, Target};
use acsd::model::device_type::FileLogin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use digest_auth::{AuthContext, HttpMethod};

use super::{Server, bytes};

fn basic(link: &Link, password: &str) -> String {
    let pair = STANDARD.encode(format!("{}:{password}", link.username));
    format!("Authorization: Basic {pair}\r\n")
}

fn digest(challenge: &str, link: &Link, method: HttpMethod<'static>, password: &str) -> String {
    let mut prompt = digest_auth::parse(challenge).unwrap();
    let context = AuthContext::new_with_method(&link.username, password, &link.path, None::<&[u8]>, method);
    format!("Authorization: {}\r\n", prompt.respond(&context).unwrap())
}

#[tokio::test]
async fn a_digest_is_asked_for_and_answered_on_the_same_connection() {
    let server = Server::start().await;
    let data = bytes(5_000);
    let id = server.image("x", &data).await;
    let link = server.link(Target::Image(id), FileLogin::Digest);
    let mut client = server.connect().await;
    let asked = client.ask("GET", &link.path, "", b"").await;
    assert_eq!(asked.status(), 401);
    assert!(asked.head.contains("\r\nWWW-Authenticate: Digest "), "spelt as CPEs look for it: {}", asked.head);
    let challenge = asked.header("www-authenticate").to_owned();
    let password = link.password.expose();
    let wrong = digest(&challenge, &link, HttpMethod::GET, "wrong");
    assert_eq!(client.ask("GET", &link.path, &wrong, b"").await.status(), 401);
    let right = digest(&challenge, &link, HttpMethod::GET, password);
    let reply = client.ask("GET", &link.path, &right, b"").await;
    assert_eq!((reply.status(), reply.body.as_slice()), (200, &data[..]));
    let other = server.link(Target::Image(id), FileLogin::Basic);
    assert_eq!(server.get(&other.path, &right).await.status(), 401, "the login of another link");
    // Unprompted, and by the other scheme: it is the right login.
    assert_eq!(server.get(&link.path, &basic(&link, password)).await.status(), 200);
}

#[tokio::test]
async fn basic_is_asked_for_where_the_type_says_so() {
    let server = Server::start().await;
    let id = server.image("x", &bytes(10)).await;
    let link = server.link(Target::Image(id), FileLogin::Basic);
    let asked = server.get(&link.path, "").await;
    assert_eq!((asked.status(), asked.header("www-authenticate")), (401, "Basic realm=\"acsd files\""));
    for wrong in [basic(&link, "wrong"), "Authorization: nonsense\r\n".into(), "Authorization: Basic ?\r\n".into()] {
        assert_eq!(server.get(&link.path, &wrong).await.status(), 401, "{wrong}");
    }
    assert_eq!(server.get(&link.path, &basic(&link, link.password.expose())).await.status(), 200);
    let open = server.link(Target::Image(id), FileLogin::None);
    assert_eq!(server.get(&open.path, &basic(&link, "anything")).await.status(), 200, "nobody asked");
}

#[tokio::test]
async fn an_upload_is_challenged_before_or_behind_its_body() {
    let server = Server::start().await;
    let (transaction, link) = server.order(FileLogin::Digest).await;
    let data = bytes(400_000);
    let mut client = server.connect().await;
    // Everything at once, without asking: it is listened to, so that the challenge is read.
    let asked = client.ask("PUT", &link.path, &format!("Content-Length: {}\r\n", data.len()), &data).await;
    assert_eq!(asked.status(), 401);
    let right = digest(asked.header("www-authenticate"), &link, HttpMethod::PUT, link.password.expose());
    let headers = format!("{right}Content-Length: {}\r\n", data.len());
    assert_eq!(client.ask("PUT", &link.path, &headers, &data).await.status(), 201);
    assert_eq!(server.stored(transaction).await.as_deref(), Some(&data[..]));

    let (_, link) = server.order(FileLogin::Digest).await;
    let mut client = server.connect().await;
    let head = format!("PUT {} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", link.path);
    client.send(head).await;
    assert_eq!(client.reply("PUT").await.status(), 401, "not asked to go on");
}
