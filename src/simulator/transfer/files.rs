//! What a CPE keeps of the files it was given, and what it sends when asked for some.

use std::fmt::Write as _;

use bytes::Bytes;

use super::fetch::Fetched;
use crate::simulator::state::{State, wall_clock};

/// What an upload sends, by the wording of its `FileType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UploadType {
    Configuration,
    Log,
}

impl UploadType {
    /// `1 Vendor Configuration File` and `3 Vendor Configuration File <i>`, `2 Vendor Log File` and
    /// `4 Vendor Log File <i>`; a vendor's own type is a log.
    fn of(file_type: &str) -> Self {
        match file_type.split(' ').next() {
            Some("1" | "3") => Self::Configuration,
            _ => Self::Log,
        }
    }
}

impl State {
    /// Whether the file that an upload names by its number exists (TR-069 A.4.1.5).
    pub(in crate::simulator) fn has_upload(&self, file_type: &str) -> bool {
        let table = match file_type.split(' ').next() {
            Some("3") => "VendorConfigFile",
            Some("4") => "VendorLogFile",
            _ => return true,
        };
        match file_type.rsplit(' ').next().map(str::parse::<u32>) {
            Some(Ok(number)) => {
                let table = format!("{}DeviceInfo.{table}.", self.tree.root());
                self.object(&table).is_none() || self.tree.rows(&table).contains(&number)
            }
            _ => true,
        }
    }

    /// What an upload of this type sends.
    pub(super) fn upload_contents(&self, file_type: &str) -> Bytes {
        match UploadType::of(file_type) {
            UploadType::Configuration => self.configuration_file.clone().unwrap_or_else(|| self.configuration()),
            UploadType::Log => self.log(),
        }
    }

    /// Keeps a downloaded configuration and applies what it can; other files leave no trace.
    pub(super) fn store_file(&mut self, file_type: &str, file: &Fetched) {
        let Some(contents) = file.contents.clone().filter(|_| file_type.starts_with("3 ")) else { return };
        let row = format!("{}DeviceInfo.VendorConfigFile.1.", self.tree.root());
        if self.tree.parameter(&format!("{row}Date")).is_some() {
            self.tree.set(&format!("{row}Date"), &wall_clock().to_string());
        }
        self.apply(&contents);
        self.configuration_file = Some(contents);
    }

    /// Lines of `path=value`, as [`State::configuration`] writes them: what is writable and not about the ACS.
    fn apply(&mut self, contents: &[u8]) {
        let management = self.management_path("");
        let Ok(text) = std::str::from_utf8(contents) else { return };
        for (path, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let is_applied = self.tree.parameter(path).is_some_and(|spec| {
                spec.writable && !spec.hidden && !spec.trigger && !path.starts_with(&management) && spec.accepts(value)
            });
            if is_applied && !path.ends_with(".DiagnosticsState") {
                self.tree.set(path, value);
            }
        }
    }

    /// A few lines that a log may have.
    fn log(&self) -> Bytes {
        let mut text = String::new();
        let now = wall_clock();
        let version = &self.software_version;
        let lines = [
            format!("kernel: software {version} started"),
            format!("cwmpd: serial number {}", self.config.identity.serial_number),
            format!("cwmpd: {} transfers in the queue, {} tests", self.transfers.len(), self.tests.len()),
            format!("cwmpd: {} sessions failed in a row", self.retry_count),
        ];
        for line in lines {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "{now} {line}");
        }
        Bytes::from(text)
    }
}
