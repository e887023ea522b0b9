//! Whether two texts mean the same value of a parameter. CPEs normalise what is written to them (cwmp.md §7, quirk 54): who
//! compares to the letter writes the same value for ever.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use super::XsdType;

/// Whether `left` and `right` mean the same value of type `ty`.
///
/// Booleans, numbers, dates and binaries compare by what they say. Strings are the same to the letter, or when both are
/// the same MAC address in any of its forms, the same IP address (IPv4 with or without zeros before its numbers), or lists
/// of the same items in any order, with or without blanks around the commas.
#[must_use]
pub fn same_meaning(ty: XsdType, left: &str, right: &str) -> bool {
    if ty.same_value(left, right) {
        return true;
    }
    match ty {
        XsdType::Decimal => Decimal::parse(left).is_some_and(|number| Some(number) == Decimal::parse(right)),
        XsdType::Base64 | XsdType::Base64Binary => {
            let content = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            content(left) == content(right)
        }
        XsdType::String => same_text(left, right),
        XsdType::Int
        | XsdType::UnsignedInt
        | XsdType::Long
        | XsdType::UnsignedLong
        | XsdType::Boolean
        | XsdType::DateTime
        | XsdType::HexBinary => false,
    }
}

/// Whether a device shows a hidden value like this: as nothing, or as stars (quirk 53).
#[must_use]
pub fn is_masked(text: &str) -> bool {
    text.trim().chars().all(|c| matches!(c, '*' | '\u{2022}' | '\u{25cf}'))
}

/// A decimal number without what does not count: sign of zero, outer zeros.
#[derive(Debug, PartialEq, Eq)]
struct Decimal<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
}

impl<'t> Decimal<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        XsdType::Decimal.check(text).ok()?;
        let text = text.trim();
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: text.starts_with('-') && !is_zero, whole, fraction })
    }
}

fn same_text(left: &str, right: &str) -> bool {
    if !left.contains(',') || !right.contains(',') {
        return canonical(left).is_some_and(|address| Some(address) == canonical(right));
    }
    let items = |list: &'_ str| {
        let mut items: Vec<String> = list
            .split(',')
            .map(str::trim)
            .map(|item| canonical(item).unwrap_or(Cow::Borrowed(item)).into_owned())
            .collect();
        items.sort_unstable();
        items
    };
    items(left) == items(right)
}

/// The one form of an address; `None`: the text is no address.
fn canonical(text: &str) -> Option<Cow<'static, str>> {
    if let Some(mac) = mac(text) {
        return Some(Cow::Owned(mac));
    }
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address = ipv4(address).map(IpAddr::V4).or_else(|| address.parse().ok())?;
    match prefix {
        None => Some(Cow::Owned(address.to_string())),
        Some(prefix) => prefix.parse::<u8>().ok().map(|bits| Cow::Owned(format!("{address}/{bits}"))),
    }
}

/// `00:1a:2b:..`, `00-1A-2B-..`, `001a.2b3c.4d5e` and `001A2B3C4D5E` as twelve small digits.
fn mac(text: &str) -> Option<String> {
    let separator = text.chars().find(|c| matches!(c, ':' | '-' | '.'));
    let width = match separator {
        Some(':' | '-') => 2,
        Some(_) => 4,
        None => 12,
    };
    let groups: Vec<&str> = separator.map_or_else(|| vec![text], |separator| text.split(separator).collect());
    let is_group = |group: &&str| group.len() == width && group.bytes().all(|b| b.is_ascii_hexdigit());
    (groups.len() * width == 12 && groups.iter().all(is_group)).then(|| groups.concat().to_ascii_lowercase())
}

/// As the standard library reads it, and with zeros before its numbers: CPEs mean decimal numbers all the same.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_compare_by_type() {
        use XsdType::{Base64, Boolean, DateTime, Decimal, HexBinary, Int, String, UnsignedInt, UnsignedLong};
        let same = [
            (Boolean, "1", "true"),
            (Boolean, "TRUE", "1"),
            (Boolean, "0", "False"),
            (UnsignedInt, "+5", "5"),
            (UnsignedInt, "05", "5"),
            (UnsignedLong, " 7 ", "7"),
            (Int, "-0", "0"),
            (Decimal, "1.50", "+01.5"),
            (Decimal, "-0.0", "0"),
            (Decimal, "3.", "3"),
            (DateTime, "2024-01-15T10:30:00Z", "2024-01-15T11:30:00+01:00"),
            (DateTime, "2024-01-15T10:30:00", "2024-01-15T10:30:00.000Z"),
            (HexBinary, "00ffAB", "00FFab"),
            (Base64, "aGVs bG8=", "aGVsbG8="),
            (String, "AA:BB:CC:00:11:22", "aa-bb-cc-00-11-22"),
            (String, "aabb.cc00.1122", "AABBCC001122"),
            (String, "192.168.001.001", "192.168.1.1"),
            (String, "2001:DB8:0::1", "2001:db8::1"),
            (String, "2001:db8:0:0::/064", "2001:db8::/64"),
            (String, "g,n, b", "b,g,n"),
            (String, "AA:BB:CC:00:11:22, AA:BB:CC:00:11:23", "aabbcc001123,aabbcc001122"),
            (String, "010.0.0.1,10.0.0.2", "10.0.0.2,10.0.0.1"),
            (String, "", ""),
        ];
        for (ty, left, right) in same {
            assert!(same_meaning(ty, left, right) && same_meaning(ty, right, left), "{ty:?}: {left:?} and {right:?}");
        }
        let different = [
            (Boolean, "1", "0"),
            (Boolean, "1", "maybe"),
            (UnsignedInt, "5", "6"),
            (UnsignedInt, "", "0"),
            (Decimal, "1.5", "-1.5"),
            (Decimal, "", "0"),
            (DateTime, "2024-01-15T10:30:00Z", "2024-01-15T10:30:01Z"),
            (String, "guest", "Guest"),
            (String, "1", "true"),
            (String, "05", "5"),
            (String, "a,b", "a,b,b"),
            (String, "a,b", "a"),
            (String, "a", "a,"),
            (String, "aa:bb:cc:00:11:22", "aa:bb:cc:00:11:23"),
            (String, "aa:bb:cc", "AA:BB:CC"),
            (String, "10.0.0.1", "10.0.0.1/24"),
            (String, "10.0.0.256", "10.0.0.0256"),
            (String, "", " "),
        ];
        for (ty, left, right) in different {
            assert!(!same_meaning(ty, left, right), "{ty:?}: {left:?} and {right:?}");
            assert!(!same_meaning(ty, right, left), "{ty:?}: {right:?} and {left:?}");
        }
    }

    #[test]
    fn masks_are_told_from_values() {
        for text in ["", " ", "*", "********", "\u{2022}\u{2022}\u{2022}"] {
            assert!(is_masked(text), "{text:?}");
        }
        for text in ["a", "**a**", "x", "-"] {
            assert!(!is_masked(text), "{text:?}");
        }
    }
}
