//! A CPE's HTTP answer, read as leniently as their small servers need it (quirk 72): bare LF, folded headers, answers
//! back to back, a missing blank line before the end.

/// Status line and the headers that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Values of `WWW-Authenticate`, unfolded, in their order.
    pub(super) challenges: Vec<String>,
    pub(super) body: BodyLength,
    /// `Connection: close`, or HTTP/1.0.
    pub(super) closes: bool,
}

/// Where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// After so many bytes.
    Bytes(usize),
    /// Chunked, or not said: where the next answer would begin is not worth finding out.
    Unknown,
}

/// What was received is no HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoHttp;

/// Whether more bytes can still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Open,
    Ended,
}

/// Reads a head from the start of `bytes` and says how many it took. `None` when more is needed.
pub(super) fn parse(bytes: &[u8], stream: Stream) -> Result<Option<(Head, usize)>, NoHttp> {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let text = bytes.get(blank..).unwrap_or_default();
    let known = text.len().min(5);
    if text.get(..known) != b"HTTP/".get(..known) {
        return Err(NoHttp);
    }
    let (head, taken) = match (end_of_head(text), stream) {
        (Some(end), _) => (text.get(..end).unwrap_or_default(), blank + end),
        (None, Stream::Open) => return Ok(None),
        // A server that closes instead of sending the blank line has said all it wants to say.
        (None, Stream::Ended) => (text, bytes.len()),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = unfold(&head).into_iter();
    let mut head = lines.next().as_deref().and_then(status_line).ok_or(NoHttp)?;
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            header(&mut head, name.trim(), value.trim());
        }
    }
    // These have no body, whatever they say (RFC 9112 §6.3).
    if head.status < 200 || matches!(head.status, 204 | 304) {
        head.body = BodyLength::Bytes(0);
    }
    Ok(Some((head, taken)))
}

/// Behind the first empty line, however lines end.
fn end_of_head(text: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if text.get(line_start..at).is_some_and(|line| line.is_empty() || line == b"\r") {
            return Some(at + 1);
        }
        line_start = at + 1;
    }
    None
}

/// Lines with their continuations (RFC 9112 §5.2, obsolete but sent).
fn unfold(head: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines().filter(|line| !line.is_empty()) {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn status_line(line: &str) -> Option<Head> {
    let mut words = line.split_ascii_whitespace();
    let version = words.next()?;
    let status = words.next()?.parse().ok().filter(|status| (100..600).contains(status))?;
    Some(Head { status, challenges: Vec::new(), body: BodyLength::Unknown, closes: version != "HTTP/1.1" })
}

fn header(head: &mut Head, name: &str, value: &str) {
    if name.eq_ignore_ascii_case("WWW-Authenticate") {
        head.challenges.push(value.to_owned());
    } else if name.eq_ignore_ascii_case("Content-Length") {
        head.body = value.parse().map_or(BodyLength::Unknown, BodyLength::Bytes);
    } else if name.eq_ignore_ascii_case("Connection") {
        head.closes = !value.eq_ignore_ascii_case("keep-alive") && (head.closes || value.eq_ignore_ascii_case("close"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, stream: Stream) -> (Head, usize) {
        parse(text.as_bytes(), stream).unwrap().unwrap()
    }

    #[test]
    fn heads_are_read_with_bare_lf_folds_and_without_an_end() {
        let text = "\r\nHTTP/1.1 401 Unauthorized\nwww-authenticate: Digest realm=\"r\",\n\tnonce=\"n\"\n \nServer: x\nContent-Length: 0\n\nHTTP/1.1 200 OK\n\n";
        let (first, taken) = head(text, Stream::Open);
        assert_eq!((first.status, first.body, first.closes), (401, BodyLength::Bytes(0), false));
        assert_eq!(first.challenges, ["Digest realm=\"r\", nonce=\"n\""]);
        let (second, rest) = head(&text[taken..], Stream::Open);
        assert_eq!((second.status, taken + rest), (200, text.len()));

        let (cut, _) = head("HTTP/1.0 200 OK\r\nServer: x", Stream::Ended);
        assert_eq!((cut.status, cut.body, cut.closes), (200, BodyLength::Unknown, true));
    }

    #[test]
    fn what_is_incomplete_is_told_from_what_is_no_http() {
        for text in ["", "\r\n", "HT", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n"] {
            assert_eq!(parse(text.as_bytes(), Stream::Open), Ok(None), "{text:?}");
        }
        for text in [
            "x",
            "HTTQ",
            "SSH-2.0-x\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 99\r\n\r\n",
            "HTTP/1.1 999\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes(), Stream::Open), Err(NoHttp), "{text:?}");
        }
        assert_eq!(parse(b"", Stream::Ended), Err(NoHttp));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_and_none_are_taken_twice(text in "(HTTP/1.[01] [0-9]{0,4}[\r\n]{0,3})?([A-Za-z-]{0,9}: ?\\PC{0,9}[\r\n \t]{0,4}){0,9}", raw: Vec<u8>) {
            for bytes in [text.as_bytes(), &raw] {
                for stream in [Stream::Open, Stream::Ended] {
                    if let Ok(Some((_, taken))) = parse(bytes, stream) {
                        proptest::prop_assert!(0 < taken && taken <= bytes.len());
                    }
                }
            }
        }
    }
}
