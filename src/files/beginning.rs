//! The beginnings of images: of each, how much is on disk for certain, and the sum of that much, so that the parts of an
//! upload are hashed once, however many they are. After a restart what is here is read and hashed once more.
//!
//! A beginning's file is called `image-<id>.<length>`: `length` bytes of it are certain, and what may be behind them is
//! written again. Names on disk and what is known of them here change together, under one lock, which is therefore taken
//! only where a thread may wait for the disk.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::folder::FILE_MODE;
use crate::model::file::ImageId;

/// What the names of their files begin with.
const PREFIX: &str = "image-";
/// How much is read at a time of what was written before.
const READ_BYTES: usize = 256 << 10;

/// Where the writing of an image begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Behind what is here.
    Kept,
    /// At its first byte.
    Anew,
}

/// A beginning that is gone on with.
#[derive(Debug)]
pub(super) struct Resumed {
    /// Just as long as `length`, and to be written to behind it.
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Bytes.
    pub(super) length: u64,
    /// Of these bytes.
    pub(super) hash: Sha256,
}

/// All that are here: as many as there are such files, some 150 bytes each.
#[derive(Debug)]
pub(super) struct Beginnings {
    folder: PathBuf,
    here: Mutex<HashMap<ImageId, Certain>>,
}

/// What is on disk for certain.
#[derive(Debug)]
struct Certain {
    length: u64,
    /// `None`: written by an earlier process, and not read since.
    hash: Option<Sha256>,
}

impl Certain {
    const NOTHING: Self = Self { length: 0, hash: None };
}

impl Beginnings {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), here: Mutex::default() }
    }

    /// Takes in a file that was found at the start. Of two of one image, which are left when the machine went down between
    /// writing one name and forgetting another, the shorter goes.
    pub(super) fn found(&self, id: ImageId, length: u64) -> io::Result<()> {
        let mut here = self.here.lock();
        let known = here.entry(id).or_insert(Certain { length, hash: None });
        let shorter = known.length.min(length);
        if known.length == length {
            return Ok(());
        }
        known.length = known.length.max(length);
        fs::remove_file(self.path_of(id, shorter))
    }

    /// How much of an image is here, if any.
    pub(super) fn length(&self, id: ImageId) -> Option<u64> {
        self.here.lock().get(&id).map(|certain| certain.length)
    }

    /// Opens the beginning of an image, cut to what is certain; a new one when there is none, or when it is to begin anew.
    /// One at a time for each image.
    pub(super) fn resume(&self, id: ImageId, from: Beginning) -> io::Result<Resumed> {
        let (mut file, path, length, hash) = self.open(id, from)?;
        let hash = match hash {
            Some(hash) => hash,
            None => self.read(id, &mut file, length)?,
        };
        file.seek(SeekFrom::Start(length))?;
        Ok(Resumed { file, path, length, hash })
    }

    fn open(&self, id: ImageId, from: Beginning) -> io::Result<(File, PathBuf, u64, Option<Sha256>)> {
        let mut here = self.here.lock();
        if from == Beginning::Anew
            && let Some(before) = here.get(&id)
        {
            self.erase(&self.path_of(id, before.length))?;
            here.remove(&id);
        }
        let is_new = !here.contains_key(&id);
        let certain = here.get(&id).unwrap_or(&Certain::NOTHING);
        let (path, length) = (self.path_of(id, certain.length), certain.length);
        let opened = OpenOptions::new().read(true).write(true).create(is_new).mode(FILE_MODE).open(&path);
        let is_whole = |file: &File| file.metadata().map(|found| found.len() >= length);
        let file = match opened.and_then(|file| is_whole(&file).map(|whole| (file, whole))) {
            Ok((file, true)) => file,
            // To go on with what is not there would make a hole.
            broken => {
                here.remove(&id);
                self.erase(&path)?;
                return Err(broken.map_or_else(|error| error, |_short| io::ErrorKind::UnexpectedEof.into()));
            }
        };
        file.set_len(length)?;
        let hash = match here.entry(id).or_insert(Certain::NOTHING) {
            Certain { hash: Some(hash), .. } => Some(hash.clone()),
            Certain { length: 0, .. } => Some(Sha256::new()),
            Certain { hash: None, .. } => None,
        };
        Ok((file, path, length, hash))
    }

    /// Hashes what an earlier process has written.
    fn read(&self, id: ImageId, file: &mut File, length: u64) -> io::Result<Sha256> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        file.seek(SeekFrom::Start(0))?;
        loop {
            let read = file.read(&mut buffer)?;
            match buffer.get(..read) {
                Some(piece) if !piece.is_empty() => hash.update(piece),
                Some(_) | None => break,
            }
        }
        if let Some(certain) = self.here.lock().get_mut(&id).filter(|certain| certain.length == length) {
            certain.hash = Some(hash.clone());
        }
        Ok(hash)
    }

    /// So many bytes of an image are on disk for certain by now, with this sum; `path` gets the name that says so.
    ///
    /// # Errors
    /// Of the disk; the beginning was forgotten meanwhile.
    pub(super) fn checkpoint(&self, id: ImageId, path: &mut PathBuf, length: u64, hash: &Sha256) -> io::Result<()> {
        let mut here = self.here.lock();
        let certain = here.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        let next = self.path_of(id, length);
        // A rename that a power cut undoes leaves a shorter length, which is right as well.
        fs::rename(&*path, &next)?;
        *path = next;
        *certain = Certain { length, hash: Some(hash.clone()) };
        Ok(())
    }

    /// Removes a file for certain. Were it back after a power cut, beside the shorter one that was begun in its place, it would
    /// be taken for that one, and gone on with.
    pub(super) fn erase(&self, path: &Path) -> io::Result<()> {
        remove(path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The file has got another name, or is gone.
    pub(super) fn leave(&self, id: ImageId) {
        self.here.lock().remove(&id);
    }

    /// Removes the beginning of an image.
    pub(super) fn forget(&self, id: ImageId) -> io::Result<()> {
        let mut here = self.here.lock();
        match here.remove(&id) {
            Some(certain) => remove(&self.path_of(id, certain.length)),
            None => Ok(()),
        }
    }

    /// Holds the lock, as slow work on the disk does.
    #[cfg(test)]
    pub(super) fn busy(&self) -> parking_lot::MutexGuard<'_, impl Sized> {
        self.here.lock()
    }

    fn path_of(&self, id: ImageId, length: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{}.{length}", id.0))
    }
}

/// Of which image a file is the beginning, by its name, and how much of it is certain.
pub(super) fn named(name: &str) -> Option<(ImageId, u64)> {
    let (id, length) = name.strip_prefix(PREFIX)?.split_once('.')?;
    Some((ImageId(id.parse().ok()?), length.parse().ok()?))
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const ID: ImageId = ImageId(1);

    fn write(beginnings: &Beginnings, mut resumed: Resumed, piece: &[u8]) {
        resumed.file.write_all(piece).unwrap();
        resumed.hash.update(piece);
        let length = resumed.length + piece.len() as u64;
        beginnings.checkpoint(ID, &mut resumed.path, length, &resumed.hash).unwrap();
    }

    fn sum(resumed: Resumed) -> Vec<u8> {
        resumed.hash.finalize().to_vec()
    }

    #[test]
    fn what_is_here_is_hashed_once_and_not_read_again() {
        let place = tempfile::tempdir().unwrap();
        let beginnings = Beginnings::new(place.path());
        for piece in ["first ", "second ", "third"] {
            let resumed = beginnings.resume(ID, Beginning::Kept).unwrap();
            write(&beginnings, resumed, piece.as_bytes());
            // What is on disk is of no interest any more: only its length is.
            let path = beginnings.path_of(ID, beginnings.length(ID).unwrap());
            fs::write(&path, vec![b'?'; usize::try_from(fs::metadata(&path).unwrap().len()).unwrap()]).unwrap();
        }
        let resumed = beginnings.resume(ID, Beginning::Kept).unwrap();
        assert_eq!(resumed.length, 18);
        assert_eq!(sum(resumed), Sha256::digest("first second third").to_vec());

        // The next process has to read it, and what is behind what is certain is not counted.
        fs::write(beginnings.path_of(ID, 18), "first second third and more").unwrap();
        let after = Beginnings::new(place.path());
        after.found(ID, 18).unwrap();
        for _ in 0..2 {
            let resumed = after.resume(ID, Beginning::Kept).unwrap();
            assert_eq!(resumed.file.metadata().unwrap().len(), 18);
            assert_eq!(sum(resumed), Sha256::digest("first second third").to_vec());
            fs::write(after.path_of(ID, 18), vec![b'?'; 18]).unwrap();
        }
        let anew = after.resume(ID, Beginning::Anew).unwrap();
        assert_eq!((anew.length, anew.file.metadata().unwrap().len()), (0, 0));
        assert_eq!(sum(anew), Sha256::digest("").to_vec());
    }

    #[test]
    fn nothing_is_built_upon_what_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let beginnings = Beginnings::new(place.path());
        let resumed = beginnings.resume(ID, Beginning::Kept).unwrap();
        write(&beginnings, resumed, b"12345678");
        fs::write(beginnings.path_of(ID, 8), "1234").unwrap();
        assert!(beginnings.resume(ID, Beginning::Kept).is_err(), "somebody has cut it");
        assert_eq!(beginnings.length(ID), None);
        let resumed = beginnings.resume(ID, Beginning::Kept).unwrap();
        assert_eq!(resumed.length, 0);
        // Its image is removed while it is being written.
        beginnings.forget(ID).unwrap();
        let mut path = resumed.path.clone();
        assert!(beginnings.checkpoint(ID, &mut path, 4, &resumed.hash).is_err());
        assert!(fs::read_dir(place.path()).unwrap().next().is_none());
    }
}
