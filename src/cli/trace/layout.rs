//! Text of devices on a terminal.

use std::borrow::Cow;

/// Without what a terminal would act on.
pub(in crate::cli) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The envelope with a line per element, indented. For reading only: what cannot be told apart stays as it is.
pub(super) fn indented(xml: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut depth: usize = 0;
    // Whether the last line is an opening tag, and perhaps its text: an end tag then goes on the same line.
    let mut is_leaf = false;
    let mut rest = xml.trim();
    while !rest.is_empty() {
        let (piece, after) = split_piece(rest);
        rest = after;
        let is_end = piece.starts_with("</");
        let opens = is_opening(piece);
        let is_text = !piece.starts_with('<') || piece.starts_with("<![CDATA[");
        if is_end {
            depth = depth.saturating_sub(1);
        }
        let shown = if piece.starts_with('<') { piece } else { piece.trim() };
        if !shown.is_empty() {
            match lines.last_mut() {
                Some(line) if is_leaf && (is_text || is_end) => line.push_str(&printable(shown)),
                _ => lines.push(format!("{:indent$}{}", "", printable(shown), indent = depth * 2)),
            }
        }
        if opens {
            depth += 1;
        }
        is_leaf = opens || (is_leaf && is_text);
    }
    lines
}

/// `<x>`, neither `<x/>` nor `<?x?>` nor `<!x>`.
fn is_opening(piece: &str) -> bool {
    piece.starts_with('<')
        && !piece.starts_with("</")
        && !piece.starts_with("<?")
        && !piece.starts_with("<!")
        && !piece.ends_with("/>")
}

/// A tag, section or comment, or the text up to the next one.
fn split_piece(text: &str) -> (&str, &str) {
    let specials = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
    let end = match specials.into_iter().find(|(start, _)| text.starts_with(start)) {
        Some((_, end)) => text.find(end).map(|at| at + end.len()),
        None if text.starts_with('<') => text.find('>').map(|at| at + 1),
        None => text.find('<'),
    };
    text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_laid_out_by_element() {
        let xml = "<?xml version=\"1.0\"?><E><H/>\r\n <B a='1'><V>a &lt; b</V><V></V><V><![CDATA[x<y]]></V><!-- c --></B></E>";
        let want = [
            "<?xml version=\"1.0\"?>",
            "<E>",
            "  <H/>",
            "  <B a='1'>",
            "    <V>a &lt; b</V>",
            "    <V></V>",
            "    <V><![CDATA[x<y]]></V>",
            "    <!-- c -->",
            "  </B>",
            "</E>",
        ];
        assert_eq!(indented(xml), want);
        assert_eq!(indented("<a><b>cut of"), ["<a>", "  <b>cut of"]);
        assert_eq!(indented(""), Vec::<String>::new());
        assert_eq!(indented("<a>\u{1b}[2J</a>"), ["<a>\u{fffd}[2J</a>"]);
    }
}
