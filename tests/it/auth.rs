//! Proofs of identity as CPEs give them: known vectors, and the habits of the field.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use acsd::auth::authorization::Authorization;
use acsd::auth::digest::{DigestServer, DigestVerdict, Stale};
use acsd::auth::seal::{KeyFileError, SealError, Sealer};
use acsd::auth::{basic, digest, token};
use acsd::types::secret::Secret;
use acsd::types::time::Timestamp;
use digest_auth::{AuthContext, HttpMethod};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const LIFETIME: Duration = Duration::from_secs(300);

fn server() -> DigestServer {
    DigestServer::new([7; 32], "acsd", LIFETIME)
}

fn answer(header: &str) -> digest::DigestAnswer<'_> {
    match Authorization::parse(header) {
        Some(Authorization::Digest(answer)) => answer,
        other => panic!("{header} is no digest: {other:?}"),
    }
}

fn verdict(header: &str, method: &str, password: &str) -> DigestVerdict {
    server().verify(&answer(header), method, &Secret::new(password), NOW)
}

/// What a well-behaved client answers.
fn client(challenge: &str, user: &str, password: &str) -> String {
    let context = AuthContext::new_with_method(user, password, "/acs", None::<&[u8]>, HttpMethod::POST);
    digest_auth::parse(challenge).unwrap().respond(&context).unwrap().to_string()
}

fn nonce_of(challenge: &str) -> String {
    challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn md5(text: &str) -> String {
    use md5::{Digest as _, Md5};
    hex::encode(Md5::digest(text))
}

/// Nonces that are not ours prove the password but are stale: the vectors' arithmetic shows by that.
#[test]
fn published_vectors_are_computed_right() {
    let table = [
        (
            "RFC 2617 §3.5",
            r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
            "Circle Of Life",
        ),
        (
            "with qop",
            r#"Digest username="acs-user", realm="cpe", nonce="n0nce", uri="/cr/abc", qop=auth, nc=00000001, cnonce="0a4f113b", response="f02d27fd771f27a324fede8b75ba2719""#,
            "acs-pass",
        ),
        (
            "without qop",
            r#"Digest username="acs-user", realm="cpe", nonce="n0nce", uri="/cr/abc", response="8ffcd9d97be02902db200fb108b840e1""#,
            "acs-pass",
        ),
    ];
    for (case, header, password) in table {
        assert_eq!(verdict(header, "GET", password), DigestVerdict::Stale, "{case}");
        assert_eq!(verdict(header, "GET", "wrong"), DigestVerdict::Refused, "{case}");
        assert_eq!(verdict(header, "POST", password), DigestVerdict::Refused, "{case}: another method");
    }
}

#[test]
fn the_challenge_has_one_scheme_and_no_stale_unless_needed() {
    let challenge = server().challenge(NOW, Stale::No);
    let nonce = nonce_of(&challenge);
    assert_eq!(challenge, format!(r#"Digest realm="acsd", nonce="{nonce}", qop="auth", algorithm=MD5"#));
    assert!(server().challenge(NOW, Stale::Yes).ends_with(", stale=true"));
    assert_eq!(basic::challenge("ac\"sd"), r#"Basic realm="acsd""#);
}

#[test]
fn an_answer_is_accepted_while_its_nonce_lives_whoever_checks_it() {
    let header = client(&server().challenge(NOW, Stale::No), "user", "pass");
    let check = |server: DigestServer, password: &str, now| {
        server.verify(&answer(&header), "POST", &Secret::new(password), now)
    };
    let second = Duration::from_secs(1);
    assert_eq!(check(server(), "pass", NOW), DigestVerdict::Accepted);
    assert_eq!(check(server(), "pass", NOW + LIFETIME), DigestVerdict::Accepted);
    assert_eq!(check(server(), "pass", NOW + LIFETIME + second), DigestVerdict::Stale);
    assert_eq!(check(server(), "pass", NOW - Duration::from_secs(3600)), DigestVerdict::Stale, "from the future");
    assert_eq!(check(server(), "wrong", NOW), DigestVerdict::Refused);
    assert_eq!(check(server(), "wrong", NOW + LIFETIME + second), DigestVerdict::Refused, "stale is not told to all");
    let after_restart = DigestServer::new([8; 32], "acsd", LIFETIME);
    assert_eq!(check(after_restart, "pass", NOW), DigestVerdict::Stale);
}

#[test]
fn habits_of_the_field_are_read() {
    let nonce = nonce_of(&server().challenge(NOW, Stale::No));
    let ha2 = md5("POST:/acs?a=1,b");
    let legacy = |user: &str| md5(&format!("{}:{nonce}:{ha2}", md5(&format!("{user}:acsd:pass"))));
    let with_qop = |ha1: &str| md5(&format!("{ha1}:{nonce}:1:cn:auth:{ha2}"));
    let ha1 = md5("user:acsd:pass");
    let table = [
        (
            "lower-case scheme",
            format!(
                r#"digest username="user", realm="acsd", nonce="{nonce}", uri="/acs?a=1,b", response="{}""#,
                legacy("user")
            ),
        ),
        (
            "unquoted uri",
            format!(
                r#"Digest username="user", realm="acsd", nonce="{nonce}", uri=/acs?a=1,b, response="{}""#,
                legacy("user")
            ),
        ),
        (
            "nothing quoted",
            format!("Digest username=user,realm=acsd,nonce={nonce},uri=/acs?a=1,b,response={}", legacy("user")),
        ),
        (
            "upper-case hex",
            format!(
                r#"Digest username="user", realm="acsd", nonce="{nonce}", uri="/acs?a=1,b", response="{}""#,
                legacy("user").to_uppercase()
            ),
        ),
        (
            "nc without qop, computed without",
            format!(
                r#"Digest username="user", realm="acsd", nonce="{nonce}", nc=1, cnonce="cn", uri="/acs?a=1,b", response="{}""#,
                legacy("user")
            ),
        ),
        (
            "nc without qop, computed with",
            format!(
                r#"Digest username="user", realm="acsd", nonce="{nonce}", nc=1, cnonce="cn", uri="/acs?a=1,b", response="{}""#,
                with_qop(&ha1)
            ),
        ),
        (
            "quoted qop, short nc",
            format!(
                r#"Digest username="user", realm="acsd", nonce="{nonce}", qop="auth", nc=1, cnonce="cn", uri="/acs?a=1,b", response="{}""#,
                with_qop(&ha1)
            ),
        ),
        (
            "MD5-sess",
            format!(
                r#"Digest username="user", realm="acsd", nonce="{nonce}", algorithm=MD5-sess, qop=auth, nc=1, cnonce="cn", uri="/acs?a=1,b", response="{}""#,
                with_qop(&md5(&format!("{ha1}:{nonce}:cn")))
            ),
        ),
        (
            "backslash sent as is",
            format!(
                r#"Digest username="ACME\user", realm="acsd", nonce="{nonce}", uri="/acs?a=1,b", response="{}""#,
                legacy(r"ACME\user")
            ),
        ),
        (
            "backslash escaped",
            format!(
                r#"Digest username="ACME\\user", realm="acsd", nonce="{nonce}", uri="/acs?a=1,b", response="{}""#,
                legacy(r"ACME\user")
            ),
        ),
        (
            "backslash escaped and hashed so",
            format!(
                r#"Digest username="ACME\\user", realm="acsd", nonce="{nonce}", uri="/acs?a=1,b", response="{}""#,
                legacy(r"ACME\\user")
            ),
        ),
        (
            "escaped quotes",
            format!(
                r#"Digest username="the \"user\"", realm="acsd", nonce="{nonce}", uri="/acs?a=1,b", response="{}""#,
                legacy(r#"the "user""#)
            ),
        ),
    ];
    for (case, header) in table {
        assert_eq!(verdict(&header, "POST", "pass"), DigestVerdict::Accepted, "{case}: {header}");
    }
    let auth_int = format!(
        r#"Digest username="user", realm="acsd", nonce="{nonce}", qop=auth-int, nc=1, cnonce="cn", uri="/acs?a=1,b", response="{}""#,
        with_qop(&ha1)
    );
    assert_eq!(verdict(&auth_int, "POST", "pass"), DigestVerdict::Refused);
    assert_eq!(
        answer(r#"Digest username="ACME\\u", nonce=x, uri=/, response=00000000000000000000000000000000"#).username(),
        r"ACME\u"
    );
}

#[test]
fn what_is_no_credential_is_none() {
    let table = [
        "",
        "Digest",
        "Digest username=\"u\"",
        "Digest username=\"u\", nonce=\"n\", uri=\"/\", response=\"short\"",
        "Bearer abc",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Digest \u{e9}=\u{fc},\"",
    ];
    for header in table {
        assert!(Authorization::parse(header).is_none(), "{header}");
    }
}

#[test]
fn basic_credentials_are_read_with_colons_latin_1_and_without_padding() {
    let table = [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
        ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin", "open sesame"),
        ("BASIC  dTphOmI=", "u", "a:b"),
        ("Basic dTr8", "u", "\u{fc}"),
        ("Basic dTo=", "u", ""),
    ];
    for (header, user, password) in table {
        let Some(Authorization::Basic(credentials)) = Authorization::parse(header) else { panic!("{header}") };
        assert_eq!(credentials.username(), user);
        assert!(credentials.verify(&Secret::new(password)), "{header}");
        assert!(!credentials.verify(&Secret::new("other")), "{header}");
        assert!(!format!("{credentials:?}").contains("sesame"));
    }
}

#[test]
fn a_sealed_secret_opens_under_its_key_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.key");
    let sealed = Sealer::open_or_create(&path).unwrap().seal(&Secret::new("pässword")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().len(), 32);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

    let again = Sealer::open_or_create(&path).unwrap();
    assert_eq!(again.open(&sealed).unwrap().expose(), "pässword");
    assert_ne!(again.seal(&Secret::new("pässword")).unwrap(), sealed);

    let other = Sealer::from_key(&[0; 32]);
    assert!(matches!(other.open(&sealed), Err(SealError::Unopenable)));
    for at in 0..sealed.0.len() {
        let mut altered = sealed.clone();
        altered.0[at] ^= 1;
        assert!(again.open(&altered).is_err(), "byte {at}");
        altered.0 = sealed.0[..at].into();
        assert!(again.open(&altered).is_err(), "cut at {at}");
    }
}

#[test]
fn processes_that_start_together_share_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.key");
    let start = || Sealer::open_or_create(&path).unwrap();
    let sealers: Vec<Sealer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let sealed = sealers[0].seal(&Secret::new("shared")).unwrap();
    assert!(sealers.iter().all(|sealer| sealer.open(&sealed).unwrap().expose() == "shared"));
}

#[test]
fn a_key_file_of_wrong_size_or_open_to_others_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.key");
    for (bytes, mode, want) in [
        (31, 0o600, "31 bytes"),
        (33, 0o600, "33 bytes"),
        (0, 0o600, "0 bytes"),
        (32, 0o640, "0640"),
        (32, 0o604, "0604"),
    ] {
        fs::write(&path, vec![1; bytes]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Sealer::open_or_create(&path).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(matches!(error, KeyFileError::WrongSize { .. } | KeyFileError::Exposed { .. }));
    }
    let missing = folder.path().join("no/such/folder/secret.key");
    assert!(matches!(Sealer::open_or_create(&missing), Err(KeyFileError::Io { .. })));
}

#[test]
fn tokens_do_not_print() {
    let token = token::generate().unwrap();
    assert_eq!(format!("{token:?} {:?}", token::TokenHash::of(token.expose())), "*** TokenHash(***)");
}

proptest::proptest! {
    #[test]
    fn whatever_a_well_behaved_client_is_called_it_gets_in(user in "[ -~]{0,20}", password in "\\PC{0,20}") {
        let header = client(&server().challenge(NOW, Stale::No), &user, &password);
        let answer = answer(&header);
        proptest::prop_assert_eq!(answer.username(), user);
        proptest::prop_assert_eq!(server().verify(&answer, "POST", &Secret::new(password), NOW), DigestVerdict::Accepted);
    }

    #[test]
    fn no_header_panics(text in "\\PC*", list in "(Digest )?([a-z]{0,3}=?\"?[^a-z]{0,5},?){0,20}") {
        for header in [&text, &list, &format!("Digest {text}"), &format!("Basic {text}")] {
            if let Some(authorization) = Authorization::parse(header) {
                let _name = authorization.username();
            }
        }
    }
}
