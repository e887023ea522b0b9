//! What proves to a receiver that an event comes from here, and when it was sent.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// The value of `X-Acsd-Signature`: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.
///
/// A receiver computes the same over the body as it arrived, compares in constant time, and refuses what is older than it
/// likes.
#[must_use]
pub fn sign(secret: &Secret, at: Timestamp, body: &[u8]) -> String {
    let time = at.as_secs().to_string();
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac whsec`.
    #[test]
    fn the_signature_is_what_others_compute() {
        let signature = sign(&Secret::new("whsec"), Timestamp::from_secs(1_700_000_000), b"{\"id\":1}");
        assert_eq!(signature, "t=1700000000,v1=e79220cb981f992adbc8b93ac6d46028b0217ea19327d27dc9d18bf334403bde");
    }
}
