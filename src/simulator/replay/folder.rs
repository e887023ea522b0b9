//! Reading exported sessions.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The file that makes a folder a session.
const META: &str = "session.json";

/// Why there is nothing to play.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `session.json` says something else than it should.
    #[error("{} does not describe a session", path.display())]
    Meta {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A message's file is not one of the session's own.
    #[error("{} names the file {file:?}, which is not one in its folder", path.display())]
    Outside {
        /// The `session.json`.
        path: PathBuf,
        /// The name.
        file: String,
    },
    /// There is no session.
    #[error("{} holds no session: there is no {META} in it, nor in a folder in it", .0.display())]
    Nothing(PathBuf),
}

/// A recorded session.
#[derive(Debug, Clone)]
pub struct RecordedSession {
    /// Name of its folder.
    pub(super) name: String,
    pub(super) messages: Vec<RecordedMessage>,
}

#[derive(Debug, Clone)]
pub(super) struct RecordedMessage {
    pub(super) side: Side,
    pub(super) rpc: String,
    /// `None`: nothing was said, or it was not kept.
    pub(super) envelope: Option<String>,
    pub(super) note: String,
}

impl RecordedMessage {
    /// Whether only a part of the envelope was kept.
    pub(super) fn is_cut(&self) -> bool {
        self.note.starts_with("cut:")
    }
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Side {
    #[serde(rename = "in")]
    Cpe,
    #[serde(rename = "out")]
    Acs,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    id: u64,
    messages: Vec<MetaMessage>,
}

#[derive(Deserialize)]
struct MetaMessage {
    direction: Side,
    #[serde(default)]
    rpc: String,
    file: Option<String>,
    #[serde(default)]
    note: String,
}

/// Reads the session in a folder, or the sessions in the folders in it, in the order in which they were held.
///
/// # Errors
/// [`ReplayError`].
pub fn load_recorded(folder: &Path) -> Result<Vec<RecordedSession>, ReplayError> {
    if folder.join(META).exists() {
        return Ok(vec![read(folder)?.1]);
    }
    let failed = |source| ReplayError::Read { path: folder.to_owned(), source };
    let mut sessions = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join(META).exists() {
            sessions.push(read(&path)?);
        }
    }
    if sessions.is_empty() {
        return Err(ReplayError::Nothing(folder.to_owned()));
    }
    sessions.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(sessions.into_iter().map(|(_, session)| session).collect())
}

/// When a session was held, as a key to sort by.
type When = (String, u64);

fn read(folder: &Path) -> Result<(When, RecordedSession), ReplayError> {
    let path = folder.join(META);
    let text = fs::read_to_string(&path).map_err(|source| ReplayError::Read { path: path.clone(), source })?;
    let meta: Meta = serde_json::from_str(&text).map_err(|source| ReplayError::Meta { path: path.clone(), source })?;
    let mut messages = Vec::with_capacity(meta.messages.len());
    for MetaMessage { direction, rpc, file, note } in meta.messages {
        let envelope = match file {
            Some(file) if file.contains(['/', '\\', '\0']) || file.starts_with('.') => {
                return Err(ReplayError::Outside { path, file });
            }
            Some(file) => {
                let path = folder.join(file);
                let text = fs::read_to_string(&path).map_err(|source| ReplayError::Read { path, source })?;
                Some(text).filter(|text| !text.is_empty())
            }
            None => None,
        };
        messages.push(RecordedMessage { side: direction, rpc, envelope, note });
    }
    let name = folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into());
    Ok(((meta.started_at, meta.id), RecordedSession { name, messages }))
}
