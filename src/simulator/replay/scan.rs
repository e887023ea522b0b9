//! A forgiving look at an envelope: which method, which ID, which names. CPEs write envelopes that no strict reader takes,
//! and a recording has to be played as it is.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::simulator::xml::unescape;

/// Elements whose text is a name that a request is about.
const NAMES: [&str; 5] = ["string", "Name", "ParameterName", "ParameterPath", "ObjectName"];

/// What an envelope says, as far as playing needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Local name of the first element of the body; empty for an empty body.
    pub(super) method: String,
    /// Where the text of `cwmp:ID` stands.
    pub(super) id: Option<Range<usize>>,
    /// Parameters and objects that it names.
    pub(super) names: BTreeSet<String>,
    /// The first `FaultCode`; empty when there is none.
    pub(super) fault_code: String,
}

impl Facts {
    /// Of an envelope; `None`: it has no body.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut facts = Self::default();
        let mut has_body = false;
        let mut open: Vec<&str> = Vec::new();
        let mut scanner = Scanner { text, at: 0 };
        while let Some(piece) = scanner.next() {
            match piece {
                Piece::Open(local) => {
                    match open.last() {
                        Some(&"Body") if facts.method.is_empty() => local.clone_into(&mut facts.method),
                        Some(&"Header") if local == "ID" => {
                            let rest = text.get(scanner.at..).unwrap_or_default();
                            let length = rest.find('<').unwrap_or(rest.len());
                            facts.id = Some(scanner.at..scanner.at + length);
                        }
                        _ => {}
                    }
                    has_body |= local == "Body";
                    open.push(local);
                }
                Piece::Empty(local) => {
                    has_body |= local == "Body";
                    if open.last() == Some(&"Body") && facts.method.is_empty() {
                        local.clone_into(&mut facts.method);
                    }
                }
                // Whatever was left open inside ends with it.
                Piece::Close(local) => {
                    if let Some(at) = open.iter().rposition(|name| *name == local) {
                        open.truncate(at);
                    }
                }
                Piece::Text(said) => match open.last() {
                    Some(name) if has_body && NAMES.contains(name) => {
                        let said = said.trim();
                        if !said.is_empty() {
                            facts.names.insert(unescape(said).unwrap_or(said.into()).into_owned());
                        }
                    }
                    Some(&"FaultCode") if facts.fault_code.is_empty() => said.trim().clone_into(&mut facts.fault_code),
                    _ => {}
                },
            }
        }
        has_body.then_some(facts)
    }

    /// The ID as it is spelled in the envelope.
    pub(super) fn id_text<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(self.id.clone()?)
    }
}

/// The envelope with another ID, spelled as in the envelope that it comes from. One without an ID stays without.
pub(super) fn with_id(envelope: &str, id: Option<&str>) -> String {
    let place = Facts::of(envelope).and_then(|facts| facts.id);
    match (place, id) {
        (Some(place), Some(id)) => {
            let (before, after) = (envelope.get(..place.start), envelope.get(place.end..));
            [before.unwrap_or_default(), id, after.unwrap_or_default()].concat()
        }
        _ => envelope.to_owned(),
    }
}

enum Piece<'a> {
    /// Local name of an opening tag.
    Open(&'a str),
    /// Of a tag that closes itself.
    Empty(&'a str),
    /// Of an end tag.
    Close(&'a str),
    /// Between two tags.
    Text(&'a str),
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let Some(markup) = rest.strip_prefix('<') else {
                let said = rest.split('<').next().unwrap_or_default();
                self.at += said.len();
                return Some(Piece::Text(said));
            };
            if let Some(section) = markup.strip_prefix("![CDATA[") {
                let said = section.split("]]>").next().unwrap_or_default();
                self.at += "<![CDATA[]]>".len() + said.len();
                return Some(Piece::Text(said));
            }
            let special = [("!--", "-->"), ("?", "?>"), ("!", ">")];
            if let Some((_, end)) = special.into_iter().find(|(start, _)| markup.starts_with(start)) {
                self.at += 1 + markup.find(end).map_or(markup.len(), |found| found + end.len());
                continue;
            }
            let length = tag_length(markup)?;
            let tag = markup.get(..length)?;
            self.at += length + 2;
            if let Some(name) = tag.strip_prefix('/') {
                return Some(Piece::Close(local(name.trim())));
            }
            let name = tag.split(|c: char| c.is_ascii_whitespace() || c == '/').next().unwrap_or_default();
            return Some(if tag.ends_with('/') { Piece::Empty(local(name)) } else { Piece::Open(local(name)) });
        }
    }
}

/// Bytes up to the `>` that ends a tag.
fn tag_length(markup: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in markup.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "<?xml version=\"1.0\"?><!-- <Body> --><s:Envelope a='>'><s:Header><c:ID x=\"1\">a&amp;1</c:ID>\
        <c:Hold/></s:Header><s:Body><c:GetParameterValues><ParameterNames><string>D.A</string>\
        <string><![CDATA[D.B]]></string></ParameterNames></c:GetParameterValues></s:Body></s:Envelope>";

    #[test]
    fn envelopes_say_what_playing_needs() {
        let facts = Facts::of(REQUEST).expect("an envelope");
        assert_eq!((facts.method.as_str(), facts.id_text(REQUEST)), ("GetParameterValues", Some("a&amp;1")));
        assert_eq!(facts.names.iter().collect::<Vec<_>>(), ["D.A", "D.B"]);
        let empty = Facts::of("<E><Header/><Body/></E>").expect("an envelope");
        assert_eq!((empty.method.as_str(), empty.id), ("", None));
        let fault =
            "<E><Body><s:Fault><detail><Fault><FaultCode> 9005 </FaultCode></Fault></detail></s:Fault></Body></E>";
        let fault = Facts::of(fault).expect("an envelope");
        assert_eq!((fault.method.as_str(), fault.fault_code.as_str()), ("Fault", "9005"));
        for text in ["", "no", "<a", "<html></html>", "<![CDATA[", "<!--", "<a b='"] {
            assert_eq!(Facts::of(text), None, "{text}");
        }
    }

    #[test]
    fn answers_take_the_id_of_the_request() {
        let answer = "<E><Header><c:ID m=\"1\">old</c:ID></Header><Body><X><ID>7</ID></X></Body></E>";
        assert_eq!(with_id(answer, Some("n&lt;w")), answer.replace("old", "n&lt;w"));
        assert_eq!(with_id(answer, None), answer);
        let without = "<E><Body><X/></Body></E>";
        assert_eq!(with_id(without, Some("new")), without);
    }
}
