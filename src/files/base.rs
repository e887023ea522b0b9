//! What links begin with: as configured, else how the device itself calls acsd.

use http::HeaderValue;
use http::uri::{Authority, Scheme};

use super::config::BASE_MAX_CHARS;

/// `http://acs.example.net:7547` of the `Host` that a device called; `None` when that is no host, or no link would fit
/// behind it. With a listener of its own, `own_port` is that listener's, which speaks plain HTTP.
pub(super) fn of_call(scheme: &Scheme, host: Option<&HeaderValue>, own_port: Option<u16>) -> Option<String> {
    let authority: Authority = host?.to_str().ok()?.trim().parse().ok()?;
    let name = authority.host();
    let (inner, is_ipv6) = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => (inner, true),
        None => (name, false),
    };
    let fits = |c: char| {
        let of_address = c.is_ascii_hexdigit() || matches!(c, ':' | '.');
        let of_name = c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if is_ipv6 { of_address } else { of_name }
    };
    if inner.is_empty() || !inner.chars().all(fits) || authority.as_str().contains('@') {
        return None;
    }
    let base = match (own_port, authority.port_u16()) {
        (Some(port), _) => format!("http://{name}:{port}"),
        (None, Some(port)) => format!("{scheme}://{name}:{port}"),
        (None, None) if authority.as_str() == name => format!("{scheme}://{name}"),
        // A port that is none.
        (None, None) => return None,
    };
    (base.len() <= BASE_MAX_CHARS).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_calls_us_is_taken_if_it_is_a_host() {
        let table = [
            ("acs.example.net:7547", Some("http://acs.example.net:7547")),
            ("192.0.2.1", Some("http://192.0.2.1")),
            ("[2001:db8::1]:80", Some("http://[2001:db8::1]:80")),
            ("acs_1:7547", Some("http://acs_1:7547")),
            ("", None),
            ("a b", None),
            ("user@acs", None),
            ("acs/../x", None),
            ("acs:port", None),
            ("acs<script>", None),
            ("a\"b", None),
        ];
        for (host, want) in table {
            let value = HeaderValue::from_str(host).unwrap();
            assert_eq!(of_call(&Scheme::HTTP, Some(&value), None).as_deref(), want, "{host:?}");
        }
        let long = HeaderValue::from_str(&"a".repeat(200)).unwrap();
        assert_eq!(of_call(&Scheme::HTTP, Some(&long), None), None);
        assert_eq!(of_call(&Scheme::HTTP, None, None), None);
    }

    #[test]
    fn a_listener_of_its_own_has_its_port() {
        let host = HeaderValue::from_static("acs.example.net:7548");
        assert_eq!(of_call(&Scheme::HTTPS, Some(&host), Some(8000)).as_deref(), Some("http://acs.example.net:8000"));
        assert_eq!(of_call(&Scheme::HTTPS, Some(&host), None).as_deref(), Some("https://acs.example.net:7548"));
    }
}
