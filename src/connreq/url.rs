//! `ManagementServer.ConnectionRequestURL`, read strictly: it comes from a device and ends in a request line.

use std::net::{IpAddr, Ipv6Addr};

use super::verdict::CallVerdict;

/// Longer ones are not usable: the data model allows 256 characters.
const MAX_LEN: usize = 1024;
const DEFAULT_PORT: u16 = 80;

/// A usable `http` URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallUrl<'a> {
    /// Host and port as written: what goes into `Host`.
    pub authority: &'a str,
    /// An address, or a name to be looked up.
    pub host: Host<'a>,
    /// 80 when not written.
    pub port: u16,
    /// Path and query as written; what goes into the request line. Empty means `/`.
    target: &'a str,
}

/// What stands before the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address literal, IPv6 in brackets.
    Address(IpAddr),
    /// Anything else that can be a name.
    Name(&'a str),
}

impl<'a> CallUrl<'a> {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`CallVerdict::HttpsUnsupported`] or [`CallVerdict::BadUrl`]: the end of the request.
    pub fn parse(url: &'a str) -> Result<Self, CallVerdict> {
        let url = url.trim();
        // No blanks, control characters or non-ASCII: what is left cannot break out of a request line.
        if url.len() > MAX_LEN || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CallVerdict::BadUrl);
        }
        let (scheme, rest) = url.split_once("://").ok_or(CallVerdict::BadUrl)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(CallVerdict::HttpsUnsupported);
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(CallVerdict::BadUrl);
        }
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority).ok_or(CallVerdict::BadUrl)?;
        Ok(Self { authority, host, port, target })
    }

    /// The request line's target: never empty.
    #[must_use]
    pub fn target(&self) -> String {
        if self.target.starts_with('/') { self.target.to_owned() } else { format!("/{}", self.target) }
    }
}

fn split_authority(authority: &str) -> Option<(Host<'_>, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (Host::Address(address.into()), if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            // User information, IPv6 without brackets, and whatever else no host name has.
            let is_name = !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
            let host = host.parse().map_or(Host::Name(host), Host::Address);
            (is_name.then_some(host)?, port)
        }
    };
    let port = match port {
        None | Some("") => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    (port != 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_urls_are_taken_apart() {
        let v4 = |text: &str| Host::Address(text.parse().unwrap());
        let table = [
            ("http://192.0.2.1:7547/cr/abc?x=1", v4("192.0.2.1"), 7547, "/cr/abc?x=1"),
            (" HTTP://192.0.2.1 ", v4("192.0.2.1"), 80, "/"),
            ("http://192.0.2.1:/", v4("192.0.2.1"), 80, "/"),
            ("http://[2001:db8::1]:7547/a", v4("2001:db8::1"), 7547, "/a"),
            ("http://[::1]", v4("::1"), 80, "/"),
            ("http://cpe.example.org?id=1#frag", Host::Name("cpe.example.org"), 80, "/?id=1"),
            ("http://0x7f.1/", Host::Name("0x7f.1"), 80, "/"),
        ];
        for (text, host, port, target) in table {
            let url = CallUrl::parse(text).unwrap();
            assert_eq!((url.host, url.port, &*url.target()), (host, port, target), "{text}");
        }
        assert_eq!(CallUrl::parse("http://[::1]:7547/a").unwrap().authority, "[::1]:7547");
    }

    #[test]
    fn unusable_urls_are_refused() {
        let table = [
            "",
            "192.0.2.1:7547",
            "ftp://192.0.2.1/",
            "http://",
            "http:///path",
            "http://:7547/",
            "http://2001:db8::1:7547/",
            "http://[fe80::1%eth0]/",
            "http://[::1/",
            "http://[::1]x/",
            "http://user:pass@192.0.2.1/",
            "http://192.0.2.1:0/",
            "http://192.0.2.1:99999/",
            "http://192.0.2.1:+80/",
            "http://192.0.2.1/a b",
            "http://192.0.2.1/\r\nX: y",
            "http://192.0.2.1/\u{e9}",
        ];
        for text in table {
            assert_eq!(CallUrl::parse(text), Err(CallVerdict::BadUrl), "{text:?}");
        }
        assert_eq!(CallUrl::parse("https://192.0.2.1/"), Err(CallVerdict::HttpsUnsupported));
        assert_eq!(CallUrl::parse(&format!("http://192.0.2.1/{}", "x".repeat(2000))), Err(CallVerdict::BadUrl));
    }
}
