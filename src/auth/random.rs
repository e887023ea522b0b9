//! Random user names, passwords and tokens from the operating system's generator.

/// No randomness to be had from the operating system: nothing that needs a secret may go on.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomError {
    #[source]
    source: getrandom::Error,
}

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `N` random bytes: keys.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut filled = [0; N];
    getrandom::fill(&mut filled).map_err(|source| RandomError { source })?;
    Ok(filled)
}

/// `len` characters of `[A-Za-z0-9]`, each worth 5.95 bits, all equally likely. Nothing in them needs escaping in XML,
/// URLs or HTTP headers, and every CPE takes them.
pub fn alphanumeric(len: usize) -> Result<String, RandomError> {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        // The two values of 64 that have no character are thrown away rather than folded: no character is favoured.
        let drawn = bytes::<64>()?;
        let characters = drawn.iter().filter_map(|byte| ALPHANUMERIC.get(usize::from(byte & 63)));
        text.extend(characters.take(len - text.len()).map(|byte| char::from(*byte)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_long_as_asked_for_and_differ() {
        for len in [0, 1, 32, 200] {
            let text = alphanumeric(len).unwrap();
            assert!(text.len() == len && text.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
        }
        assert_ne!(alphanumeric(32).unwrap(), alphanumeric(32).unwrap());
    }
}
