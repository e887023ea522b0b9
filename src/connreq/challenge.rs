//! The answer to a CPE's challenge.
//!
//! The arithmetic is `digest_auth`'s; reading the challenge and writing the header are ours, since CPEs need both
//! lenient and exact: no `qop` means no `nc` and `cnonce` either, `algorithm` and `opaque` are echoed only when given.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use digest_auth::{Algorithm, AlgorithmType, AuthContext, Charset, Qop, WwwAuthenticateHeader};

use super::policy::BasicPolicy;
use super::verdict::CallVerdict;
use crate::auth::params::{ParamValue, Params};
use crate::auth::random;
use crate::types::secret::Secret;

const CLIENT_NONCE_CHARS: usize = 16;

/// Whether the CPE says that only its nonce was too old.
pub(super) fn is_stale(challenges: &[String]) -> bool {
    let digest = challenges.iter().find_map(|value| after_scheme(value, "Digest"));
    digest.and_then(|list| param(list, "stale")).is_some_and(|value| value.raw.eq_ignore_ascii_case("true"))
}

/// The `Authorization` value for a GET of `target`: Digest if offered in a form we know, else Basic if policy allows.
pub(super) fn respond(
    challenges: &[String],
    (user, password): (&str, &Secret),
    target: &str,
    basic: BasicPolicy,
) -> Result<String, CallVerdict> {
    let digest = challenges.iter().filter_map(|value| after_scheme(value, "Digest")).find_map(Challenge::parse);
    let offers_basic = challenges.iter().any(|value| after_scheme(value, "Basic").is_some());
    match (digest, offers_basic, basic) {
        (Some(challenge), _, _) => challenge.respond(user, password, target),
        (None, true, BasicPolicy::Allow) => {
            Ok(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
        }
        (None, true, BasicPolicy::Forbid) => Err(CallVerdict::BasicForbidden),
        (None, false, _) => Err(CallVerdict::Protocol),
    }
}

/// What follows the name of a scheme, wherever in the value it stands outside quotes.
fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (mut quoted, mut at_word) = (false, true);
    for (at, byte) in value.bytes().enumerate() {
        let here = value.get(at..at + scheme.len());
        if at_word && !quoted && here.is_some_and(|word| word.eq_ignore_ascii_case(scheme)) {
            let rest = value.get(at + scheme.len()..).unwrap_or_default();
            if rest.is_empty() || rest.starts_with([' ', '\t']) {
                return Some(rest);
            }
        }
        quoted ^= byte == b'"';
        at_word = matches!(byte, b' ' | b'\t' | b',');
    }
    None
}

/// The first parameter of that name: a later one may belong to another challenge in the same header.
fn param<'a>(list: &'a str, name: &str) -> Option<ParamValue<'a>> {
    Params::new(list).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A Digest challenge that can be answered.
struct Challenge<'a> {
    realm: ParamValue<'a>,
    nonce: &'a str,
    opaque: Option<&'a str>,
    /// As given, and as understood.
    algorithm: (Option<&'a str>, Algorithm),
    qop: Option<Qop>,
}

impl<'a> Challenge<'a> {
    fn parse(list: &'a str) -> Option<Self> {
        // What is echoed ends in a request: nothing in it may be a line break.
        if list.chars().any(char::is_control) {
            return None;
        }
        let named = param(list, "algorithm").map(|value| value.raw);
        let algorithm = match named {
            None | Some("") => Algorithm::default(),
            Some(name) => [
                ("MD5", AlgorithmType::MD5, false),
                ("MD5-sess", AlgorithmType::MD5, true),
                ("SHA-256", AlgorithmType::SHA2_256, false),
                ("SHA-256-sess", AlgorithmType::SHA2_256, true),
            ]
            .into_iter()
            .find(|(known, ..)| known.eq_ignore_ascii_case(name))
            .map(|(_, kind, session)| Algorithm::new(kind, session))?,
        };
        let qops = param(list, "qop").map_or("", |value| value.raw);
        let offers = |qop: &str| qops.split([',', ' ']).any(|offered| offered.eq_ignore_ascii_case(qop));
        let qop = if offers("auth") {
            Some(Qop::AUTH)
        } else if offers("auth-int") {
            Some(Qop::AUTH_INT)
        } else {
            None
        };
        Some(Self {
            realm: param(list, "realm").unwrap_or(ParamValue { raw: "" }),
            nonce: param(list, "nonce")?.raw,
            opaque: param(list, "opaque").map(|value| value.raw),
            algorithm: (named, algorithm),
            qop,
        })
    }

    fn respond(&self, user: &str, password: &Secret, target: &str) -> Result<String, CallVerdict> {
        let (named_algorithm, algorithm) = self.algorithm;
        let mut prompt = WwwAuthenticateHeader {
            domain: None,
            realm: self.realm.unescaped().into_owned(),
            nonce: self.nonce.to_owned(),
            opaque: None,
            stale: false,
            algorithm,
            qop: self.qop.map(|qop| vec![qop]),
            userhash: false,
            charset: Charset::ASCII,
            nc: 0,
        };
        let client_nonce = random::alphanumeric(CLIENT_NONCE_CHARS).map_err(|_| CallVerdict::Protocol)?;
        let mut context = AuthContext::new(user, password.expose(), target);
        context.set_custom_cnonce(client_nonce.as_str());
        // `auth-int` covers the body, which a GET has not.
        context.body = (self.qop == Some(Qop::AUTH_INT)).then(|| [].as_slice().into());
        let answer = prompt.respond(&context).map_err(|_| CallVerdict::Protocol)?;

        let user = user.replace('\\', "\\\\").replace('"', "\\\"");
        let mut header = format!(
            "Digest username=\"{user}\", realm=\"{}\", nonce=\"{}\", uri=\"{target}\", response=\"{}\"",
            self.realm.raw, self.nonce, answer.response
        );
        let mut push = |name: &str, value: &str| write!(header, ", {name}{value}").map_err(|_| CallVerdict::Protocol);
        if let Some(algorithm) = named_algorithm {
            push("algorithm=", algorithm)?;
        }
        if let Some(opaque) = self.opaque {
            push("opaque=", &format!("\"{opaque}\""))?;
        }
        if let Some(qop) = self.qop {
            push("qop=", &format!("{qop}, nc=00000001, cnonce=\"{client_nonce}\""))?;
        } else if algorithm.sess {
            push("cnonce=", &format!("\"{client_nonce}\""))?;
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(challenges: &[&str], basic: BasicPolicy) -> Result<String, CallVerdict> {
        let challenges: Vec<String> = challenges.iter().map(|text| (*text).to_owned()).collect();
        respond(&challenges, ("acs-user", &Secret::new("acs-pass")), "/cr/abc", basic)
    }

    #[test]
    fn without_qop_the_legacy_digest_is_sent_and_nothing_else() {
        let want = "Digest username=\"acs-user\", realm=\"cpe\", nonce=\"n0nce\", uri=\"/cr/abc\", response=\"8ffcd9d97be02902db200fb108b840e1\"";
        for challenge in [
            "Digest realm=\"cpe\", nonce=\"n0nce\"",
            "digest realm=cpe,nonce=n0nce",
            "Basic realm=\"x, Digest \", Digest realm=\"cpe\", nonce=\"n0nce\", Basic realm=\"y\"",
        ] {
            assert_eq!(answer(&[challenge], BasicPolicy::Forbid).unwrap(), want);
        }
    }

    #[test]
    fn what_was_given_is_echoed_and_the_rest_is_chosen() {
        let challenge = "Digest realm=\"a \\\"b\\\"\", nonce=\"n==\", opaque=\"o\\\\p\", algorithm=md5-SESS, qop=\"auth-int, auth\"";
        let header = answer(&[challenge], BasicPolicy::Forbid).unwrap();
        for part in [
            "realm=\"a \\\"b\\\"\"",
            "nonce=\"n==\"",
            "opaque=\"o\\\\p\"",
            "algorithm=md5-SESS",
            "qop=auth, nc=00000001, cnonce=\"",
        ] {
            assert!(header.contains(part), "{part} in {header}");
        }
    }

    #[test]
    fn basic_is_answered_only_by_policy_and_only_without_digest() {
        let both = ["Basic realm=\"x\"", "Digest realm=\"cpe\", nonce=\"n\""];
        assert!(answer(&both, BasicPolicy::Allow).unwrap().starts_with("Digest "));
        let basic = ["basic realm=\"x\""];
        assert_eq!(answer(&basic, BasicPolicy::Forbid), Err(CallVerdict::BasicForbidden));
        assert_eq!(answer(&basic, BasicPolicy::Allow).unwrap(), "Basic YWNzLXVzZXI6YWNzLXBhc3M=");
        for none in [
            &[][..],
            &["Bearer"],
            &["Digest realm=\"no nonce\""],
            &["Digest nonce=n, algorithm=X"],
            &["Digest nonce=\"\u{7}\""],
        ] {
            assert_eq!(answer(none, BasicPolicy::Allow), Err(CallVerdict::Protocol), "{none:?}");
        }
    }
}
