//! The session cookie: one short name and value, read leniently (cwmp.md §1.1, quirks 10, 11, 64).

use http::header::{COOKIE, HeaderMap, HeaderValue};

use super::exchange::{SessionToken, Transport};

/// The cookie's name: nothing but letters, as old cookie parsers want it.
pub const NAME: &str = "acsd";

/// `Set-Cookie` for a session: 32 hex digits and `Path=/`, which some CPEs derive wrongly when it is not given.
///
/// No `Expires`, `Max-Age`, `SameSite` or `HttpOnly`: they confuse old parsers and protect nothing here. `Secure` only
/// over TLS.
#[must_use]
pub fn set_cookie(token: SessionToken, transport: Transport) -> Option<HeaderValue> {
    let secure = match transport {
        Transport::Plain => "",
        Transport::Tls => "; Secure",
    };
    // All characters are printable ASCII: this cannot fail.
    HeaderValue::try_from(format!("{NAME}={:032x}; Path=/{secure}", token.0)).ok()
}

/// Our cookie out of every `Cookie` header.
///
/// Parts are separated by semicolons or commas; quotes, `$Version`, and attributes that ride along are passed over.
/// When several of ours come, the last is taken: clients that keep an old one beside the new send them in the order
/// they got them.
#[must_use]
pub fn from_headers(headers: &HeaderMap) -> Option<SessionToken> {
    headers.get_all(COOKIE).iter().filter_map(|value| from_value(value.as_bytes())).next_back()
}

fn from_value(value: &[u8]) -> Option<SessionToken> {
    value
        .split(|byte| matches!(byte, b';' | b','))
        .filter_map(|part| {
            let part = std::str::from_utf8(part).ok()?;
            let (name, value) = part.split_once('=')?;
            let ours = unquote(name).eq_ignore_ascii_case(NAME);
            ours.then(|| token(unquote(value))).flatten()
        })
        .next_back()
}

fn unquote(text: &str) -> &str {
    text.trim_matches(|c: char| c == '"' || c.is_ascii_whitespace())
}

fn token(hex: &str) -> Option<SessionToken> {
    let plain = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(hex, 16).ok()).flatten().map(SessionToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00112233445566778899aabbccddeeff";
    const TOKEN: SessionToken = SessionToken(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);

    fn read(headers: &[&str]) -> Option<SessionToken> {
        from_headers(&headers.iter().map(|value| (COOKIE, HeaderValue::from_str(value).unwrap())).collect())
    }

    #[test]
    fn what_is_set_is_short_plain_and_read_again() {
        let plain = set_cookie(TOKEN, Transport::Plain).unwrap();
        assert_eq!(plain, "acsd=00112233445566778899aabbccddeeff; Path=/");
        let secure = set_cookie(TOKEN, Transport::Tls).unwrap();
        assert_eq!(secure, "acsd=00112233445566778899aabbccddeeff; Path=/; Secure");
        assert!(secure.len() < 100);
        assert_eq!(read(&[plain.to_str().unwrap()]), Some(TOKEN));
    }

    #[test]
    fn the_field_s_cookie_habits_are_read() {
        let table = [
            vec![format!("acsd={VALUE}")],
            vec![format!("acsd=\"{VALUE}\"")],
            vec![format!("$Version=1; acsd=\"{VALUE}\"; $Path=\"/\"")],
            vec![format!("$Version=\"1\",acsd={VALUE},$Path=/")],
            vec![format!("other=1;acsd={VALUE}; Path=/; Secure")],
            vec![format!("ACSD = {} ", VALUE.to_uppercase())],
            vec!["other=1".to_owned(), format!("acsd={VALUE}")],
            vec![format!("acsd={}; acsd={VALUE}", "0".repeat(32))],
            vec![format!("acsd={VALUE}; acsd=garbage")],
        ];
        for headers in table {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            assert_eq!(read(&headers), Some(TOKEN), "{headers:?}");
        }
    }

    #[test]
    fn what_is_not_ours_is_none() {
        for header in [
            "",
            "acsd",
            "acsd=",
            "acsd=123",
            "xacsd=00112233445566778899aabbccddeeff",
            "acsd=+0112233445566778899aabbccddeeff",
        ] {
            assert_eq!(read(&[header]), None, "{header}");
        }
    }
}
