//! Lists: how long a page is, where its neighbours are, and the two forms a list is answered in.

use axum::Json;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::Page;

/// How many entries a page of a list has.
#[derive(Debug, Clone, Copy)]
pub struct PageRule {
    default: u32,
}

/// Most entries of any page.
const PAGE_MAX: u32 = 500;

impl PageRule {
    /// Lists in an envelope.
    pub const LIST: Self = Self { default: 25 };
    /// Bare arrays.
    pub const ARRAY: Self = Self { default: 100 };

    /// Over the cap is clamped; zero and less mean the default.
    #[must_use]
    pub fn limit(self, asked: Option<i64>) -> u32 {
        match asked {
            Some(asked) if asked > 0 => u32::try_from(asked).unwrap_or(PAGE_MAX).min(PAGE_MAX),
            _ => self.default,
        }
    }
}

/// Makes the URLs of the neighbouring pages: absolute, with every other parameter as it was given.
#[derive(Debug)]
pub struct PageLinks {
    base: String,
    others: Vec<String>,
}

impl PageLinks {
    pub(super) fn new(base: String, others: Vec<String>) -> Self {
        Self { base, others }
    }

    fn url(&self, limit: u32, offset: u64) -> String {
        let mut url = format!("{}?limit={limit}&offset={offset}", self.base);
        for other in &self.others {
            url.push('&');
            url.push_str(other);
        }
        url
    }

    fn next(&self, page: Page, count: u64) -> Option<String> {
        let offset = page.offset.saturating_add(page.limit.into());
        (offset < count).then(|| self.url(page.limit, offset))
    }

    fn previous(&self, page: Page) -> Option<String> {
        (page.offset > 0).then(|| self.url(page.limit, page.offset.saturating_sub(page.limit.into())))
    }

    /// The documented envelope.
    #[must_use]
    pub fn envelope<T>(&self, page: Page, count: u64, results: Vec<T>) -> Envelope<T> {
        Envelope { count, next: self.next(page, count), previous: self.previous(page), results }
    }

    /// A bare array, with the total and the neighbours in headers.
    pub fn array<T: Serialize>(&self, page: Page, count: u64, results: Vec<T>) -> Response {
        let mut response = Json(results).into_response();
        let headers = response.headers_mut();
        headers.insert(TOTAL_COUNT, HeaderValue::from(count));
        let links: Vec<String> = [("next", self.next(page, count)), ("prev", self.previous(page))]
            .into_iter()
            .filter_map(|(rel, url)| url.map(|url| format!("<{url}>; rel=\"{rel}\"")))
            .collect();
        if let (false, Ok(value)) = (links.is_empty(), HeaderValue::from_str(&links.join(", "))) {
            headers.insert(header::LINK, value);
        }
        response
    }
}

/// How many there are in all.
pub(super) const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// How many there are in all; exact.
    pub count: u64,
    /// URL of the next page; null at the end.
    pub next: Option<String>,
    /// URL of the previous page; null at the start.
    pub previous: Option<String>,
    /// This page.
    pub results: Vec<T>,
}

/// Whether the connection is under TLS; set on each request by the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Plain,
    /// `https`.
    Tls,
}

/// The absolute URL of a request without its query: from the configured public URL, else from what the client asked.
pub(super) fn request_url(parts: &Parts, public_url: Option<&str>) -> String {
    let path = parts.uri.path();
    if let Some(public) = public_url {
        return format!("{}{path}", public.trim_end_matches('/'));
    }
    let scheme = match parts.extensions.get::<Scheme>() {
        Some(Scheme::Tls) => "https",
        Some(Scheme::Plain) | None => "http",
    };
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| parts.uri.authority().map(Authority::as_str))
        .filter(|host| !host.is_empty())
        .unwrap_or("localhost");
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_keep_the_other_parameters_and_end_at_the_ends() {
        let links = PageLinks::new("https://a/b/".into(), vec!["status=true".into(), "x=%20".into()]);
        let page = |offset| Page { offset, limit: 10 };
        assert_eq!(links.next(page(0), 10), None);
        assert_eq!(links.previous(page(0)), None);
        assert_eq!(links.next(page(0), 11).as_deref(), Some("https://a/b/?limit=10&offset=10&status=true&x=%20"));
        assert_eq!(links.previous(page(5)).as_deref(), Some("https://a/b/?limit=10&offset=0&status=true&x=%20"));
        assert_eq!(links.next(page(u64::MAX), 11), None);
    }
}
