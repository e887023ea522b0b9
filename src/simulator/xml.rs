//! A strict reader for what an ACS sends, and an escaper for what a CPE sends.
//!
//! Deliberately not the server's: it is small, takes no shortcut and forgives nothing, so that a mistake in the
//! server's codec shows. What SOAP 1.1 forbids (document types, processing instructions) and what fragile agents choke
//! on (comments, CDATA) is refused here with a name.

use std::borrow::Cow;

/// Elements inside each other before a message is refused.
const DEPTH_MAX: usize = 32;

/// Why a body is no XML that a CPE would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum XmlError {
    /// The text ends inside an element, or has none.
    #[error("the document ends early")]
    Truncated,
    /// Something other than blanks after the root element.
    #[error("there is text after the root element")]
    Trailing,
    /// An end tag that does not match.
    #[error("</{found}> closes <{open}>")]
    Mismatch {
        /// The element that is open.
        open: String,
        /// The end tag found.
        found: String,
    },
    /// A document type, comment, CDATA section or processing instruction.
    #[error("{0} in a CWMP envelope")]
    Forbidden(&'static str),
    /// A tag or attribute that cannot be read.
    #[error("broken markup near {0:?}")]
    Markup(String),
    /// A bare `&`, an unknown entity, or a character that XML 1.0 does not allow.
    #[error("broken text near {0:?}")]
    Text(String),
    /// A prefix that is bound nowhere.
    #[error("prefix {0:?} is not declared")]
    Unbound(String),
    /// The same attribute twice on one element.
    #[error("attribute {0:?} stands twice")]
    DuplicateAttribute(String),
    /// More levels than any CWMP message has.
    #[error("more than {DEPTH_MAX} levels of elements")]
    TooDeep,
}

/// One attribute, its prefix resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    /// Empty for an attribute without prefix.
    pub(super) namespace: Cow<'a, str>,
    pub(super) local: &'a str,
    pub(super) value: Cow<'a, str>,
}

/// One element with everything below it.
#[derive(Debug, Clone)]
pub(super) struct Element<'a> {
    pub(super) prefix: &'a str,
    pub(super) local: &'a str,
    /// Empty when the element is in no namespace.
    pub(super) namespace: Cow<'a, str>,
    /// `xmlns` declarations made on this very element.
    pub(super) declared: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) children: Vec<Self>,
    pub(super) text: Cow<'a, str>,
    /// Written as `<X/>`.
    pub(super) self_closed: bool,
}

impl<'a> Element<'a> {
    /// The first child with this local name.
    pub(super) fn child(&self, local: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.local == local)
    }

    /// The text of the first child with this local name, or nothing.
    pub(super) fn child_text(&self, local: &str) -> &str {
        self.child(local).map_or("", |child| &child.text)
    }

    /// The value of the attribute with this namespace and local name.
    pub(super) fn attribute(&self, namespace: &str, local: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|a| a.local == local && a.namespace == namespace)?;
        Some(&found.value)
    }

    fn open(tag: &'a str) -> Result<(Self, &'a str), XmlError> {
        let end = tag.find(|c: char| c.is_ascii_whitespace()).unwrap_or(tag.len());
        let (name, rest) = tag.split_at(end);
        let (prefix, local) = split_name(name)?;
        let element = Self {
            prefix,
            local,
            namespace: Cow::Borrowed(""),
            declared: Vec::new(),
            attributes: Vec::new(),
            children: Vec::new(),
            text: Cow::Borrowed(""),
            self_closed: false,
        };
        Ok((element, rest))
    }
}

/// A whole document: its root, and whether it began with an XML declaration.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) root: Element<'a>,
    pub(super) declaration: Option<&'a str>,
}

/// Reads a whole document.
pub(super) fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    let (declaration, mut rest) = match text.strip_prefix("<?xml ") {
        Some(body) => {
            let (inside, rest) = body.split_once("?>").ok_or(XmlError::Truncated)?;
            (Some(inside), rest)
        }
        None => (None, text),
    };
    let mut open: Vec<Element<'_>> = Vec::new();
    loop {
        let (before, markup) = rest.split_once('<').ok_or(XmlError::Truncated)?;
        match open.last_mut() {
            Some(element) => append_text(element, before)?,
            None if before.trim().is_empty() => {}
            None => return Err(XmlError::Markup(excerpt(before))),
        }
        refuse_special(markup)?;
        let (tag, after) = split_tag(markup)?;
        rest = after;
        let finished = if let Some(name) = tag.strip_prefix('/') {
            let element = open.pop().ok_or_else(|| XmlError::Markup(excerpt(tag)))?;
            check_end(&element, name.trim_end())?;
            Some(element)
        } else {
            let (tag, self_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let element = read_start(tag, self_closed, &open)?;
            if self_closed {
                Some(element)
            } else {
                if open.len() >= DEPTH_MAX {
                    return Err(XmlError::TooDeep);
                }
                open.push(element);
                None
            }
        };
        let Some(element) = finished else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(element),
            None if rest.trim().is_empty() => return Ok(Document { root: element, declaration }),
            None => return Err(XmlError::Trailing),
        }
    }
}

fn refuse_special(markup: &str) -> Result<(), XmlError> {
    let table = [
        ("!--", "a comment"),
        ("![CDATA[", "a CDATA section"),
        ("!DOCTYPE", "a document type"),
        ("?", "a processing instruction"),
    ];
    match table.into_iter().find(|(start, _)| markup.starts_with(start)) {
        Some((_, what)) => Err(XmlError::Forbidden(what)),
        None => Ok(()),
    }
}

/// Splits at the `>` that ends the tag, minding quoted attribute values.
fn split_tag(markup: &str) -> Result<(&str, &str), XmlError> {
    let mut quote = None;
    for (at, byte) in markup.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => {
                let (tag, rest) = markup.split_at(at);
                return Ok((tag, rest.get(1..).unwrap_or_default()));
            }
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'<') => return Err(XmlError::Markup(excerpt(markup))),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    Err(XmlError::Truncated)
}

fn read_start<'a>(tag: &'a str, self_closed: bool, open: &[Element<'a>]) -> Result<Element<'a>, XmlError> {
    let (mut element, mut rest) = Element::open(tag)?;
    element.self_closed = self_closed;
    let mut raw: Vec<(&str, Cow<'_, str>)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let broken = || XmlError::Markup(excerpt(tag));
        let (name, after) = rest.split_once('=').ok_or_else(broken)?;
        let name = name.trim_end();
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(broken)?;
        let (value, after) = after.get(1..).and_then(|inner| inner.split_once(quote)).ok_or_else(broken)?;
        if !after.is_empty() && !after.starts_with(|c: char| c.is_ascii_whitespace()) {
            return Err(broken());
        }
        rest = after;
        if name.is_empty() || raw.iter().any(|(seen, _)| *seen == name) {
            return Err(XmlError::DuplicateAttribute(name.to_owned()));
        }
        raw.push((name, unescape(value)?));
    }
    for (name, value) in &raw {
        if *name == "xmlns" {
            element.declared.push(("", value.clone()));
        } else if let Some(prefix) = name.strip_prefix("xmlns:") {
            element.declared.push((prefix, value.clone()));
        }
    }
    element.namespace = resolve(element.prefix, &element.declared, open)?;
    for (name, value) in raw {
        if name == "xmlns" || name.starts_with("xmlns:") {
            continue;
        }
        let (prefix, local) = split_name(name)?;
        let namespace = if prefix.is_empty() { Cow::Borrowed("") } else { resolve(prefix, &element.declared, open)? };
        element.attributes.push(Attribute { name, namespace, local, value });
    }
    Ok(element)
}

fn resolve<'a>(
    prefix: &str,
    declared: &[(&'a str, Cow<'a, str>)],
    open: &[Element<'a>],
) -> Result<Cow<'a, str>, XmlError> {
    let scopes = std::iter::once(declared).chain(open.iter().rev().map(|element| element.declared.as_slice()));
    for scope in scopes {
        if let Some((_, uri)) = scope.iter().find(|(bound, _)| *bound == prefix) {
            return Ok(uri.clone());
        }
    }
    if prefix.is_empty() { Ok(Cow::Borrowed("")) } else { Err(XmlError::Unbound(prefix.to_owned())) }
}

fn check_end(element: &Element<'_>, name: &str) -> Result<(), XmlError> {
    if split_name(name)? == (element.prefix, element.local) {
        return Ok(());
    }
    Err(XmlError::Mismatch { open: element.local.to_owned(), found: name.to_owned() })
}

fn split_name(name: &str) -> Result<(&str, &str), XmlError> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    if is_name(local) && (is_name(prefix) || !name.contains(':')) {
        Ok((prefix, local))
    } else {
        Err(XmlError::Markup(excerpt(name)))
    }
}

fn append_text<'a>(element: &mut Element<'a>, raw: &'a str) -> Result<(), XmlError> {
    let text = unescape(raw)?;
    if element.text.is_empty() {
        element.text = text;
    } else {
        element.text.to_mut().push_str(&text);
    }
    Ok(())
}

/// Resolves the five entities of XML and character references, and refuses what XML 1.0 refuses.
pub(super) fn unescape(raw: &str) -> Result<Cow<'_, str>, XmlError> {
    if let Some(bad) = raw.chars().find(|c| !is_xml_char(*c)) {
        return Err(XmlError::Text(bad.escape_default().to_string()));
    }
    if !raw.contains('&') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (entity, after) = after.split_once(';').ok_or_else(|| XmlError::Text(excerpt(after)))?;
        out.push(entity_char(entity).ok_or_else(|| XmlError::Text(excerpt(entity)))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn entity_char(entity: &str) -> Option<char> {
    let code = match entity {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => entity.strip_prefix('#')?,
    };
    let code = match code.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => code.parse().ok()?,
    };
    char::from_u32(code).filter(|c| is_xml_char(*c))
}

/// XML 1.0 production 2, `Char`.
const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Appends `text` so that it reads back as itself; what XML cannot carry becomes U+FFFD.
pub(super) fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            c if is_xml_char(c) => out.push(c),
            _ => out.push('\u{FFFD}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_its_namespaces() {
        let text = "<?xml version=\"1.0\"?><a:R xmlns:a='urn:a' xmlns='urn:d'><b x=\"1\" a:y='&lt;'>t&amp;&#x41;</b><c/></a:R>";
        let document = parse(text).expect("well-formed");
        let root = &document.root;
        assert_eq!((root.prefix, root.local, &*root.namespace), ("a", "R", "urn:a"));
        assert!(document.declaration.is_some());
        let b = root.child("b").expect("there");
        assert_eq!((&*b.namespace, &*b.text), ("urn:d", "t&A"));
        assert_eq!(b.attribute("", "x"), Some("1"));
        assert_eq!(b.attribute("urn:a", "y"), Some("<"));
        assert!(root.child("c").is_some_and(|c| c.self_closed));
    }

    #[test]
    fn what_a_fragile_agent_chokes_on_is_refused() {
        let table = [
            ("<a><b></a></b>", XmlError::Mismatch { open: "b".into(), found: "a".into() }),
            ("<a>", XmlError::Truncated),
            ("", XmlError::Truncated),
            ("<a/>x", XmlError::Trailing),
            ("<a><!-- c --></a>", XmlError::Forbidden("a comment")),
            ("<a><![CDATA[x]]></a>", XmlError::Forbidden("a CDATA section")),
            ("<!DOCTYPE a><a/>", XmlError::Forbidden("a document type")),
            ("<a>x & y</a>", XmlError::Text(" y".into())),
            ("<a>&nbsp;</a>", XmlError::Text("nbsp".into())),
            ("<p:a/>", XmlError::Unbound("p".into())),
            ("<a x='1' x='2'/>", XmlError::DuplicateAttribute("x".into())),
            ("<a x=1/>", XmlError::Markup("a x=1".into())),
        ];
        for (text, want) in table {
            assert_eq!(parse(text).err(), Some(want), "{text}");
        }
        assert_eq!(parse(&"<a>".repeat(40)).err(), Some(XmlError::TooDeep));
    }

    #[test]
    fn escaped_text_reads_back_as_itself() {
        let text = "a & b < c > \"d\" 'e'\r\n\tü";
        let mut body = String::from("<a>");
        escape_into(&mut body, text);
        body.push_str("</a>");
        assert_eq!(parse(&body).expect("well-formed").root.text, text);
    }
}
