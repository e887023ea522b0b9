//! Sessions as files: an envelope each, and `session.json`, which says what they are.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Direction, Message, Session, TraceError};

/// What `session.json` says.
#[derive(Serialize)]
struct Meta<'a> {
    serial_number: &'a str,
    id: u64,
    started_at: &'a str,
    ended_at: &'a str,
    address: &'a str,
    events: &'a [String],
    outcome: &'a str,
    omitted: u32,
    messages: Vec<MetaMessage<'a>>,
}

#[derive(Serialize)]
struct MetaMessage<'a> {
    time: &'a str,
    offset_ms: u64,
    direction: Direction,
    rpc: &'a str,
    status: Option<u16>,
    note: &'a str,
    /// Beside this file; null where nothing was said.
    file: Option<String>,
}

/// Writes a session into a folder of its own below `folder`; gives that folder.
///
/// # Errors
/// [`TraceError::Export`].
pub(super) fn write(folder: &Path, serial: &str, session: &Session) -> Result<PathBuf, TraceError> {
    let place = folder.join(format!("session-{:06}", session.id));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TraceError::Export { path, source }
    };
    fs::create_dir_all(&place).map_err(failed(&place))?;
    let mut messages = Vec::with_capacity(session.messages.len());
    for (at, message) in session.messages.iter().enumerate() {
        let file = (!message.xml.is_empty()).then(|| file_name(at + 1, message));
        if let Some(file) = &file {
            let path = place.join(file);
            fs::write(&path, &message.xml).map_err(failed(&path))?;
        }
        let Message { time, offset_ms, direction, rpc, status, note, .. } = message;
        messages.push(MetaMessage {
            time,
            offset_ms: *offset_ms,
            direction: *direction,
            rpc,
            status: *status,
            note,
            file,
        });
    }
    let Session { id, started_at, ended_at, address, events, outcome, omitted, .. } = session;
    let (id, omitted, serial_number) = (*id, *omitted, serial);
    let meta = Meta { serial_number, id, started_at, ended_at, address, events, outcome, omitted, messages };
    let path = place.join("session.json");
    let text = serde_json::to_string_pretty(&meta).map_err(|error| failed(&path)(error.into()))?;
    fs::write(&path, text + "\n").map_err(failed(&path))?;
    Ok(place)
}

/// `01-in-Inform.xml`. A CPE may call its methods what it likes, a file may not.
fn file_name(number: usize, message: &Message) -> String {
    let side = match message.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    let rpc: String = message.rpc.chars().filter(char::is_ascii_alphanumeric).take(48).collect();
    let rpc = if rpc.is_empty() { "message" } else { &rpc };
    format!("{number:02}-{side}-{rpc}.xml")
}
