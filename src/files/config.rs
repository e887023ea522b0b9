//! `[files]`: where files are fetched and brought, and how much of what they may take.

use std::net::SocketAddr;
use std::time::Duration;

/// Longest base address: a whole link has to fit into the 256 characters of a `Download`'s URL.
pub const BASE_MAX_CHARS: usize = 150;
/// Fewest bytes per second that a cap may leave.
const LEAST_RATE: u64 = 1024;

/// Limits and habits of the files.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// A listener of its own, plain HTTP; without it files are fetched from the CWMP listeners.
    pub listen: Option<SocketAddr>,
    /// What links begin with, `http://files.example.net:8000`; without it, how the device itself calls acsd.
    pub public_url: Option<String>,
    /// How long a link is good for, in hours; a delay that the transfer has by itself comes on top.
    pub link_hours: u32,
    /// Most bytes of a firmware image.
    pub max_image_bytes: u64,
    /// Most bytes of a file that a device sends.
    pub max_upload_bytes: u64,
    /// Files of one device and file type that are kept: the newest.
    pub keep_uploads: usize,
    /// Files that devices have sent that are kept in all. Beyond, the oldest of a device goes for its new one; a device that
    /// has none is refused.
    pub max_stored: usize,
    /// Most bytes of all files together; 0: no limit.
    pub max_total_bytes: u64,
    /// With less free space than this no file is taken, in bytes.
    pub free_space_floor_bytes: u64,
    /// Most transfers of CPEs at the same time.
    pub max_transfers: usize,
    /// Of these, most of one device.
    pub max_transfers_per_device: usize,
    /// What all downloads of CPEs together may take, in bytes per second; 0: no limit.
    pub bandwidth_bytes_per_sec: u64,
    /// What one download of a CPE may take, in bytes per second; 0: no limit.
    pub transfer_bandwidth_bytes_per_sec: u64,
    /// How long nothing at all may move before a transfer is given up, in seconds.
    pub stall_timeout_secs: u64,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            listen: None,
            public_url: None,
            link_hours: 24,
            max_image_bytes: 2 << 30,
            max_upload_bytes: 64 << 20,
            keep_uploads: 5,
            max_stored: 1_000_000,
            max_total_bytes: 0,
            free_space_floor_bytes: 512 << 20,
            max_transfers: 512,
            max_transfers_per_device: 2,
            bandwidth_bytes_per_sec: 0,
            transfer_bandwidth_bytes_per_sec: 0,
            stall_timeout_secs: 300,
        }
    }
}

impl FilesConfig {
    /// Every setting that cannot work: the key, and what is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let size = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let positive = [
            ("link_hours", u64::from(self.link_hours)),
            ("max_image_bytes", self.max_image_bytes),
            ("max_upload_bytes", self.max_upload_bytes),
            ("keep_uploads", size(self.keep_uploads)),
            ("max_stored", size(self.max_stored)),
            ("max_transfers", size(self.max_transfers)),
            ("max_transfers_per_device", size(self.max_transfers_per_device)),
            ("stall_timeout_secs", self.stall_timeout_secs),
        ];
        let mut problems: Vec<(&'static str, String)> = positive
            .into_iter()
            .filter(|(_, value)| *value == 0)
            .map(|(key, _)| (key, "must be at least 1".to_owned()))
            .collect();
        let rates = [
            ("bandwidth_bytes_per_sec", self.bandwidth_bytes_per_sec),
            ("transfer_bandwidth_bytes_per_sec", self.transfer_bandwidth_bytes_per_sec),
        ];
        for (key, rate) in rates {
            if (1..LEAST_RATE).contains(&rate) {
                problems.push((key, format!("must be 0 (no limit) or at least {LEAST_RATE}")));
            }
        }
        if let Some(url) = &self.public_url
            && let Err(reason) = check_public_url(url)
        {
            problems.push(("public_url", reason));
        }
        problems
    }

    pub(super) const fn link_life(&self) -> Duration {
        Duration::from_hours(self.link_hours as u64)
    }

    /// How long nothing at all may move before a transfer is given up.
    #[must_use]
    pub const fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_secs)
    }
}

/// A link is this, and a path behind it.
fn check_public_url(url: &str) -> Result<(), String> {
    let parsed = url.parse::<http::Uri>().map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let authority = parsed.authority().filter(|_| matches!(parsed.scheme_str(), Some("http" | "https")));
    match authority {
        None => Err(format!("{url:?} does not start with http:// or https://")),
        Some(authority) if authority.as_str().contains('@') => Err("may not contain a login".to_owned()),
        Some(_) if parsed.query().is_some() => Err("may not contain a query".to_owned()),
        Some(_) if url.chars().count() > BASE_MAX_CHARS => {
            Err(format!("may have at most {BASE_MAX_CHARS} characters: devices take URLs of 256"))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem_and_nonsense_has_many() {
        assert_eq!(FilesConfig::default().problems(), []);
        let nonsense = FilesConfig {
            link_hours: 0,
            keep_uploads: 0,
            bandwidth_bytes_per_sec: 5,
            public_url: Some("ftp://files".to_owned()),
            ..FilesConfig::default()
        };
        let keys: Vec<&str> = nonsense.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["link_hours", "keep_uploads", "bandwidth_bytes_per_sec", "public_url"]);
    }

    #[test]
    fn a_public_url_is_one_that_a_path_can_follow() {
        for good in ["http://files", "https://files.example.net:8443", "http://[2001:db8::1]/acs"] {
            assert_eq!(check_public_url(good), Ok(()), "{good}");
        }
        let long = format!("http://{}", "a".repeat(BASE_MAX_CHARS));
        for bad in ["files.example.net", "ftp://files", "http://a:b@files", "http://files/?x", "http://", "", &long] {
            assert!(check_public_url(bad).is_err(), "{bad}");
        }
    }
}
