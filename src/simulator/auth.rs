//! How a CPE answers a 401: Digest (RFC 2617, as TR-069 §3.4.5 wants it) or Basic.

use base64::Engine as _;
use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};
use http::{HeaderMap, header};

use super::config::Credentials;

/// What the server last asked for.
#[derive(Debug, Clone)]
enum Challenge {
    Basic,
    Digest(Box<WwwAuthenticateHeader>),
}

/// Credentials, and the challenge that they are to be presented to.
#[derive(Debug)]
pub(super) struct Authenticator {
    credentials: Option<Credentials>,
    challenge: Option<Challenge>,
}

/// What became of a 401.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenged {
    /// There is an answer to it.
    Answerable,
    /// No credentials, or a scheme that CPEs do not know.
    Hopeless,
}

impl Authenticator {
    pub(super) const fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, challenge: None }
    }

    /// The `Authorization` for a request, if the server has asked for one before.
    pub(super) fn authorization(&mut self, method: &str, path: &str) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        match self.challenge.as_mut()? {
            Challenge::Basic => {
                let pair = format!("{}:{}", credentials.username, credentials.password.expose());
                Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
            }
            Challenge::Digest(prompt) => {
                let context = AuthContext::new_with_method(
                    credentials.username.as_str(),
                    credentials.password.expose(),
                    path,
                    None::<&[u8]>,
                    HttpMethod::from(method.to_owned()),
                );
                prompt.respond(&context).ok().map(|answer| answer.to_header_string())
            }
        }
    }

    /// Forgets the challenge: the next request goes out without credentials.
    pub(super) fn forget(&mut self) {
        self.challenge = None;
    }

    /// Takes a 401. `complain` is told what is wrong with it.
    pub(super) fn challenged(&mut self, headers: &HeaderMap, mut complain: impl FnMut(String)) -> Challenged {
        let offers: Vec<&str> =
            headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
        if offers.len() != 1 {
            complain(format!("{} WWW-Authenticate headers in one 401", offers.len()));
        }
        let Some(offer) = offers.first() else { return Challenged::Hopeless };
        let scheme = offer.split_whitespace().next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("basic") {
            self.challenge = Some(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("digest") {
            match WwwAuthenticateHeader::parse(offer) {
                Ok(prompt) => {
                    if prompt.qop.as_ref().is_none_or(|qop| !qop.contains(&digest_auth::Qop::AUTH)) {
                        complain("a Digest challenge without qop=\"auth\"".to_owned());
                    }
                    self.challenge = Some(Challenge::Digest(Box::new(prompt)));
                }
                Err(error) => {
                    complain(format!("a Digest challenge that cannot be read: {error}"));
                    return Challenged::Hopeless;
                }
            }
        } else {
            complain(format!("a challenge of scheme {scheme:?}"));
            return Challenged::Hopeless;
        }
        if self.credentials.is_some() { Challenged::Answerable } else { Challenged::Hopeless }
    }
}
