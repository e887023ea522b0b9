//! What the placeholders of a data model stand for in one CPE.

use std::borrow::Cow;

use super::{State, wall_clock};

impl State {
    /// The value with its placeholders filled in.
    pub(super) fn fill_in<'a>(&self, path: &str, raw: &'a str) -> Cow<'a, str> {
        if !raw.contains("${") {
            return Cow::Borrowed(raw);
        }
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(&self.fact(path, name));
            rest = after;
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// What a placeholder in the model stands for.
    pub(in crate::simulator) fn fact(&self, path: &str, name: &str) -> String {
        let identity = &self.config.identity;
        let credentials = self.config.credentials.as_ref();
        match name {
            "serial" => identity.serial_number.clone(),
            "oui" => identity.oui.clone(),
            "class" => identity.product_class.clone(),
            "manufacturer" => identity.manufacturer.clone(),
            "acs_url" => self.config.acs_url.clone(),
            "username" => credentials.map(|c| c.username.clone()).unwrap_or_default(),
            "password" => credentials.map(|c| c.password.expose().to_owned()).unwrap_or_default(),
            "interval" => self.config.periodic_interval_secs.max(1).to_string(),
            "cr_url" => self.connection_request_url.clone(),
            "software" => self.software_version.clone(),
            "uptime" => self.booted_at.elapsed().as_secs().to_string(),
            "now" => wall_clock().to_string(),
            "mac" => {
                let bytes = self.fingerprint(path).to_be_bytes();
                bytes.iter().skip(3).fold("02".to_owned(), |mac, byte| format!("{mac}:{byte:02x}"))
            }
            "wan_ip" => {
                let [.., high, mid, low] = self.fingerprint("wan").to_be_bytes();
                format!("100.{}.{mid}.{low}", 64 + (high & 63))
            }
            "i" => path.rsplit('.').find(|s| s.bytes().all(|b| b.is_ascii_digit())).unwrap_or("0").to_owned(),
            other => match other.strip_prefix("count:") {
                Some(table) => {
                    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                    self.tree.rows(&format!("{parent}.{table}.")).len().to_string()
                }
                None => String::new(),
            },
        }
    }

    /// A stable number per CPE and purpose (FNV-1a).
    fn fingerprint(&self, purpose: &str) -> u64 {
        let bytes = self.config.identity.serial_number.bytes().chain(purpose.bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
