//! The folder of files: each under its SHA-256, so that what is there twice is kept once.
//!
//! What is here is counted by the records that refer to it: whoever stores a record [holds](Held) its file first, and the
//! last one to let go removes it. Counting, renaming and removing happen under one lock, so that a file that is brought
//! anew just when its last record goes is never lost. All of this blocks: it runs where it may, also what is dropped.
//!
//! Besides files, the folder has what is being written: `.new-…`, thrown away at the next start, and
//! [beginnings](super::beginning) of images, which are gone on with.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sha2::Sha256;

use super::beginning::{Beginning, Beginnings, Resumed, named, remove};
use super::config::FilesConfig;
use super::draft::{ReceiveError, Turn};
use super::lane::Lane;
use crate::model::file::ImageId;
use crate::store;
use crate::types::time::Timestamp;

/// What is being written and will not be gone on with.
const NEW: &str = ".new-";
/// Owner alone.
const FOLDER_MODE: u32 = 0o700;
pub(super) const FILE_MODE: u32 = 0o600;

/// Name of a file's content.
pub type Sha256Sum = [u8; 32];

/// Why there is no room for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The disk.
    #[error("the disk has too little free space for more files")]
    Disk,
    /// What all files together may take.
    #[error("all files together may take {limit_bytes} bytes, which are used up")]
    Total {
        /// As configured.
        limit_bytes: u64,
    },
    /// So many files of devices, and none of this device that could go instead.
    #[error("{limit} files of devices are kept, which is as many as there may be")]
    Count {
        /// As configured.
        limit: usize,
    },
}

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    floor_bytes: u64,
    max_total_bytes: u64,
    blobs: Mutex<HashMap<Sha256Sum, Blob>>,
    total_bytes: AtomicU64,
    next: AtomicU64,
    lane: Lane,
    beginnings: Beginnings,
    /// Of a store that does not last: gone with it.
    _temporary: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Blob {
    records: u64,
    size: u64,
}

impl Folder {
    /// Opens the folder, makes it first if it is not there. `kept` are the contents that records refer to, one for each
    /// record; `wanted` says of an image whether its beginning may still be gone on with. Everything else is removed.
    pub(super) fn open(
        path: &Path,
        config: &FilesConfig,
        kept: impl IntoIterator<Item = (Sha256Sum, u64)>,
        wanted: impl Fn(ImageId) -> bool,
    ) -> io::Result<Self> {
        make(path)?;
        let mut blobs = HashMap::<Sha256Sum, Blob>::new();
        let mut total_bytes = 0;
        for (sum, size) in kept {
            let blob = blobs.entry(sum).or_insert_with(|| {
                total_bytes += size;
                Blob { records: 0, size }
            });
            blob.records += 1;
        }
        let folder = Self {
            path: path.to_owned(),
            floor_bytes: config.free_space_floor_bytes,
            max_total_bytes: config.max_total_bytes,
            blobs: Mutex::new(blobs),
            total_bytes: AtomicU64::new(total_bytes),
            next: AtomicU64::new(0),
            lane: Lane::default(),
            beginnings: Beginnings::new(path),
            _temporary: None,
        };
        folder.sweep(wanted)?;
        Ok(folder)
    }

    /// One that lasts as long as it is used.
    pub(super) fn temporary(config: &FilesConfig) -> io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("acsd-files-").tempdir()?;
        let folder = Self::open(temporary.path(), config, [], |_| false)?;
        Ok(Self { _temporary: Some(temporary), ..folder })
    }

    /// The same, waited for on another lane.
    pub(super) fn on(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }

    pub(super) const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Does what blocks where a thread may: begun when this returns.
    pub(super) fn blocking<T, W>(&self, work: W) -> impl Future<Output = Result<T, ReceiveError>> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let working = self.lane.spawn_blocking(work);
        async move {
            match working.await {
                Ok(done) => Ok(done?),
                Err(broken) => Err(ReceiveError::Io(io::Error::other(broken))),
            }
        }
    }

    /// Removes what nothing refers to: leftovers of a process that was killed.
    fn sweep(&self, wanted: impl Fn(ImageId) -> bool) -> io::Result<()> {
        let blobs = self.blobs.lock();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some((id, length)) = named(&name).filter(|(id, _)| wanted(*id)) {
                self.beginnings.found(id, length)?;
                continue;
            }
            let is_kept = sum_of(&name).is_some_and(|sum| blobs.contains_key(&sum));
            // What is none of ours stays.
            let is_ours = name.starts_with(NEW) || named(&name).is_some() || sum_of(&name).is_some();
            if is_ours && !is_kept {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// A new file to be written to; it is gone again when its name is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> io::Result<(Scratch, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{NEW}{}-{number}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(&path)?;
        let scratch = Scratch { folder: Arc::clone(self), path: Some(path), kind: Kind::Passing, turn: None };
        Ok((scratch, file))
    }

    /// The beginning of an image, cut to what is certain; a new one when there is none, or when it is to begin anew. The `turn`
    /// is given back when nothing is done to its file any more.
    pub(super) fn resume(
        self: &Arc<Self>,
        id: ImageId,
        from: Beginning,
        turn: Option<Turn>,
    ) -> io::Result<(Scratch, Continued)> {
        let Resumed { file, path, length, hash } = self.beginnings.resume(id, from)?;
        let scratch = Scratch { folder: Arc::clone(self), path: Some(path), kind: Kind::Beginning(id), turn };
        Ok((scratch, Continued { file, length, hash }))
    }

    /// How much there is of the beginning of an image, if any.
    pub(super) fn partial(&self, id: ImageId) -> Option<u64> {
        self.beginnings.length(id)
    }

    /// Forgets the beginning of an image.
    pub(super) fn forget_partial(&self, id: ImageId) -> io::Result<()> {
        self.beginnings.forget(id)
    }

    /// Whether there is room for `more` bytes besides `writing`, which are on disk already and counted nowhere.
    pub(super) fn room(&self, writing: u64, more: u64) -> Result<(), NoRoom> {
        let total = self.total_bytes.load(Ordering::Relaxed).saturating_add(writing).saturating_add(more);
        if self.max_total_bytes > 0 && total > self.max_total_bytes {
            return Err(NoRoom::Total { limit_bytes: self.max_total_bytes });
        }
        match store::free_bytes(&self.path) {
            Ok(free) if free < self.floor_bytes.saturating_add(more) => Err(NoRoom::Disk),
            // Where it cannot be told, the write itself will.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Gives what was written its name and holds it.
    pub(super) fn publish(self: &Arc<Self>, mut scratch: Scratch, sum: Sha256Sum, size: u64) -> io::Result<Held> {
        let held = Held { folder: Arc::clone(self), sum, size, record: false };
        {
            let mut blobs = self.blobs.lock();
            let blob = blobs.entry(sum).or_insert_with(|| {
                self.total_bytes.fetch_add(size, Ordering::Relaxed);
                Blob { records: 0, size }
            });
            blob.records += 1;
            if let Some(path) = scratch.path.take()
                && let Err(error) = fs::rename(&path, self.path_of(&sum))
            {
                scratch.path = Some(path);
                drop(blobs);
                return Err(error);
            }
        }
        scratch.left();
        // Nobody writes the image anew before this is certain: the turn goes with the scratch file.
        File::open(&self.path)?.sync_all()?;
        Ok(held)
    }

    /// One record less refers to a content.
    pub(super) fn release(&self, sum: &Sha256Sum) -> io::Result<()> {
        let mut blobs = self.blobs.lock();
        let Some(blob) = blobs.get_mut(sum) else { return Ok(()) };
        blob.records = blob.records.saturating_sub(1);
        if blob.records > 0 {
            return Ok(());
        }
        self.total_bytes.fetch_sub(blob.size, Ordering::Relaxed);
        blobs.remove(sum);
        remove(&self.path_of(sum))
    }

    /// Opens a content, and says when it came. The record may be older: its bytes can have been replaced.
    pub(super) fn open_content(&self, sum: &Sha256Sum) -> io::Result<(File, Timestamp)> {
        let file = File::open(self.path_of(sum))?;
        let secs = file.metadata()?.mtime();
        Ok((file, Timestamp::from_secs(secs)))
    }

    fn path_of(&self, sum: &Sha256Sum) -> PathBuf {
        self.path.join(hex::encode(sum))
    }
}

/// What there is of an image that is gone on with.
#[derive(Debug)]
pub(super) struct Continued {
    /// To be written to at its end.
    pub(super) file: File,
    /// Bytes.
    pub(super) length: u64,
    /// Of these bytes.
    pub(super) hash: Sha256,
}

/// A file that is being written: gone when this is dropped, unless it is the beginning of an image.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: Arc<Folder>,
    /// Taken when it got another name.
    path: Option<PathBuf>,
    kind: Kind,
    /// To write this image.
    turn: Option<Turn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Gone with its name.
    Passing,
    /// Kept, to be gone on with.
    Beginning(ImageId),
    /// It was one: whole and right by now, or of no use.
    Ended(ImageId),
}

impl Scratch {
    /// Notes that so many bytes of an image are on disk for certain, and their sum.
    pub(super) fn checkpoint(&mut self, length: u64, hash: &Sha256) -> io::Result<()> {
        let (Kind::Beginning(id), Some(path)) = (self.kind, &mut self.path) else { return Ok(()) };
        self.folder.beginnings.checkpoint(id, path, length, hash)
    }

    /// Whether it may be gone on with later.
    pub(super) const fn is_resumable(&self) -> bool {
        matches!(self.kind, Kind::Beginning(_))
    }

    /// From now on it is gone when this is dropped.
    pub(super) fn give_up(&mut self) {
        if let Kind::Beginning(id) = self.kind {
            self.kind = Kind::Ended(id);
        }
    }

    /// Removes it here and now, which blocks.
    pub(super) fn discard(mut self) {
        self.give_up();
        if let Some(leftover) = self.leftover() {
            leftover.remove();
        }
    }

    /// What is to be removed, if anything.
    fn leftover(&mut self) -> Option<Leftover> {
        let path = self.path.take()?;
        let image = match std::mem::replace(&mut self.kind, Kind::Passing) {
            Kind::Ended(id) | Kind::Beginning(id) => Some(id),
            Kind::Passing => None,
        };
        Some(Leftover { folder: Arc::clone(&self.folder), path, image, _turn: self.turn.take() })
    }

    /// Its file has another name, or none.
    fn left(&mut self) {
        if let Kind::Ended(id) | Kind::Beginning(id) = self.kind {
            self.folder.beginnings.leave(id);
        }
        self.kind = Kind::Passing;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_resumable() {
            return;
        }
        // It is dropped anywhere, and a large file takes the disk a while to free.
        if let Some(leftover) = self.leftover() {
            self.folder.lane.leave_behind(move || leftover.remove());
        }
    }
}

/// A file of no use. As long as it is there nobody else writes its image.
struct Leftover {
    folder: Arc<Folder>,
    path: PathBuf,
    image: Option<ImageId>,
    _turn: Option<Turn>,
}

impl Leftover {
    fn remove(self) {
        let removed = match self.image {
            Some(_) => self.folder.beginnings.erase(&self.path),
            None => remove(&self.path),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "{} could not be removed", self.path.display());
        }
        if let Some(id) = self.image {
            self.folder.beginnings.leave(id);
        }
    }
}

/// A content that is kept as long as this is: longer once a record refers to it.
#[derive(Debug)]
pub(super) struct Held {
    folder: Arc<Folder>,
    sum: Sha256Sum,
    size: u64,
    record: bool,
}

impl Held {
    /// Its name.
    pub(super) const fn sha256(&self) -> Sha256Sum {
        self.sum
    }

    /// Bytes.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// A record refers to it from now on, and lets go of it when it goes. Said before the record can be seen: when it comes
    /// to nothing, the file is left over until the next start, which is better than a record without its file.
    pub(super) fn keep(mut self) {
        self.record = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.record {
            return;
        }
        let (folder, sum) = (Arc::clone(&self.folder), self.sum);
        self.folder.lane.leave_behind(move || {
            if let Err(error) = folder.release(&sum) {
                tracing::warn!(%error, "a file that nothing refers to could not be removed");
            }
        });
    }
}

/// Makes the folder if it is not there, and its name last.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn sum_of(name: &str) -> Option<Sha256Sum> {
    let mut sum = [0; 32];
    hex::decode_to_slice(name, &mut sum).ok().map(|()| sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn open(path: &Path, kept: &[(Sha256Sum, u64)]) -> Arc<Folder> {
        let config = FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() };
        Arc::new(Folder::open(path, &config, kept.iter().copied(), |id| id.0 == 1).unwrap())
    }

    fn put(folder: &Arc<Folder>, sum: Sha256Sum, text: &[u8]) -> Held {
        let (scratch, mut file) = folder.begin().unwrap();
        file.write_all(text).unwrap();
        folder.publish(scratch, sum, text.len() as u64).unwrap()
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_content_stays_as_long_as_a_record_refers_to_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("files");
        let folder = open(&path, &[]);
        let (first, second) = (put(&folder, [1; 32], b"same"), put(&folder, [1; 32], b"same"));
        first.keep();
        drop(second);
        assert_eq!(names(&path), [hex::encode([1; 32])], "it is there once");
        assert_eq!(fs::metadata(path.join(hex::encode([1; 32]))).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.total_bytes.load(Ordering::Relaxed), 4);
        folder.release(&[1; 32]).unwrap();
        assert_eq!(names(&path), Vec::<String>::new());
        assert_eq!(folder.total_bytes.load(Ordering::Relaxed), 0);
        drop(put(&folder, [2; 32], b"nobody's"));
        assert_eq!(names(&path), Vec::<String>::new());
    }

    #[test]
    fn leftovers_go_at_the_start_and_beginnings_of_images_stay() {
        let place = tempfile::tempdir().unwrap();
        let kept = hex::encode([3; 32]);
        for name in [&kept, &hex::encode([4; 32]), ".new-1-2", "image-1.4", "image-1.2", "image-2.4", "a note"] {
            fs::write(place.path().join(name), "12345678").unwrap();
        }
        let folder = open(place.path(), &[([3; 32], 8), ([3; 32], 8)]);
        assert_eq!(names(place.path()), [kept.as_str(), "a note", "image-1.4"]);
        let (mut scratch, Continued { file, length, hash }) = folder.resume(ImageId(1), Beginning::Kept, None).unwrap();
        assert_eq!((length, file.metadata().unwrap().len()), (4, 4), "what is not certain is written again");
        scratch.checkpoint(4, &hash).unwrap();
        drop(scratch);
        assert_eq!(folder.partial(ImageId(1)), Some(4));
        let (mut scratch, anew) = folder.resume(ImageId(1), Beginning::Anew, None).unwrap();
        assert_eq!(anew.length, 0);
        scratch.give_up();
        drop(scratch);
        assert_eq!(folder.partial(ImageId(1)), None);
        assert_eq!(names(place.path()), [kept.as_str(), "a note"]);
    }

    /// What is dropped in the middle of a request or a session.
    #[tokio::test]
    async fn nobody_who_drops_a_file_waits_for_the_disk() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("files");
        let folder = open(&path, &[]);
        let held = put(&folder, [1; 32], b"nobody's");
        let turn = Arc::new(());
        let (mut scratch, _) = folder.resume(ImageId(1), Beginning::Kept, Some(Box::new(Arc::clone(&turn)))).unwrap();
        scratch.give_up();
        let (beginnings, blobs) = (folder.beginnings.busy(), folder.blobs.lock());
        let runtime = tokio::runtime::Handle::current();
        let (tell, told) = std::sync::mpsc::channel();
        let dropping = std::thread::spawn(move || {
            let _within = runtime.enter();
            drop((scratch, held));
            tell.send(()).unwrap();
        });
        let dropped = told.recv_timeout(PATIENCE);
        let (turns, there) = (Arc::strong_count(&turn), folder.path_of(&[1; 32]).is_file());
        drop((beginnings, blobs));
        dropping.join().unwrap();
        dropped.expect("it waits for who has the lock");
        assert_eq!((turns, there), (2, true), "nobody else may write the image meanwhile");
        let gone = || Arc::strong_count(&turn) == 1 && names(&path).is_empty();
        let waiting = async {
            while !gone() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it is removed");
        assert_eq!(folder.partial(ImageId(1)), None);
    }

    #[test]
    fn there_is_room_until_there_is_none() {
        let place = tempfile::tempdir().unwrap();
        let config = FilesConfig { free_space_floor_bytes: 0, max_total_bytes: 10, ..FilesConfig::default() };
        let folder = Folder::open(place.path(), &config, [([1; 32], 4)], |_| false).unwrap();
        assert_eq!(folder.room(0, 6), Ok(()));
        assert_eq!(folder.room(3, 4), Err(NoRoom::Total { limit_bytes: 10 }));
        let config = FilesConfig { free_space_floor_bytes: u64::MAX, ..FilesConfig::default() };
        let folder = Folder::open(place.path(), &config, [([1; 32], 4)], |_| false).unwrap();
        assert_eq!(folder.room(0, 0), Err(NoRoom::Disk));
    }
}
