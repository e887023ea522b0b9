//! Opening and creating the store.
//!
//! Files of a data folder: `store/` (sled's own), `store.id` (who the store is), `store.lock` (held while it is open),
//! `store.new` (only while a store is being created), `ballast`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use crate::store::key::{self, Table};
use crate::types::time::{Clock, Timestamp};

use super::catalogue::Catalogues;
use super::committer::Committer;
use super::database::Database;
use super::health::Health;
use super::traces::TraceNumbers;
use super::watch::Watch;
use super::{Core, SCANS, SCHEMA_VERSION, SledStore, StoreConfig, compact, load, sync};

/// Why the store was not opened, by what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Stop the other process, or use another folder.
    #[error("{} is in use: is another acsd running on this folder?", folder.display())]
    Busy {
        /// The data folder.
        folder: PathBuf,
    },
    /// Run the newer acsd that wrote it.
    #[error("the store has schema {found}, this acsd knows schema {known}: it was written by a newer acsd")]
    SchemaTooNew {
        /// Of the store.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Restore a backup, or start with an empty folder if nothing in it matters.
    #[error("{} does not hold the store it should: {reason}; restore a backup, or move the folder away to start anew", folder.display())]
    Lost {
        /// The data folder.
        folder: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Restore a backup.
    #[error("the store in {} is damaged: {reason}; move it away and restore a backup", folder.display())]
    Damaged {
        /// The data folder.
        folder: PathBuf,
        /// What was found.
        reason: String,
    },
    /// This binary is not to be used.
    #[error("a flush does not reach the disk: this binary was built without the sync guard")]
    Unguarded,
    /// Make room, see to permissions.
    #[error("{what} failed in {}", folder.display())]
    Io {
        /// The data folder.
        folder: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// How often and how long to wait for sled's own threads of an earlier store of this process to let go of its files.
const RELEASE_TRIES: u32 = 40;
const RELEASE_WAIT: Duration = Duration::from_millis(50);

/// Where sled's files are.
pub(super) fn database_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

/// Opens the store on a thread of its own: it blocks, and sled may panic on damaged files.
pub(super) async fn open(config: StoreConfig, clock: Arc<dyn Clock>) -> Result<SledStore, OpenError> {
    let folder = config.data_dir.clone();
    let (done, opened) = oneshot::channel();
    thread::Builder::new()
        .name("acsd-store-open".to_owned())
        .spawn(move || {
            let folder = config.data_dir.clone();
            let outcome = catch_unwind(AssertUnwindSafe(|| Opening { config, now: clock.now() }.run()));
            // If nobody waits any more the store closes again.
            done.send(outcome.unwrap_or_else(|panic| Err(damaged(&folder, describe(&*panic))))).ok();
        })
        .map_err(|source| OpenError::Io { folder: folder.clone(), what: "starting a thread", source })?;
    opened.await.unwrap_or_else(|_| Err(damaged(&folder, "opening it broke off".to_owned())))
}

fn damaged(folder: &Path, reason: String) -> OpenError {
    OpenError::Damaged { folder: folder.to_owned(), reason }
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("sled gave up: {}", text.unwrap_or("no reason given"))
}

struct Opening {
    config: StoreConfig,
    now: Timestamp,
}

impl Opening {
    fn run(self) -> Result<SledStore, OpenError> {
        let folder = self.config.data_dir.clone();
        fs::create_dir_all(&folder).map_err(self.io("creating the folder"))?;
        let lock = self.lock()?;
        compact::finish(&folder).map_err(self.io("finishing a copy that was cut off"))?;
        self.make_room();
        let origin = self.origin()?;
        self.remove_leftovers().map_err(self.io("removing a left-over snapshot"))?;
        let health = Arc::new(Health::default());
        let database = self.open_database(&health)?;
        self.identify(&database, &origin)?;
        self.check_schema(&database)?;
        self.probe(&database)?;
        self.finish_creation(&origin).map_err(self.io("writing the store's id"))?;

        let core = load::load(self.config, self.now, database, health, lock)
            .map_err(|error| damaged(&folder, error.to_string()))?;
        core.place_ballast();
        let core = Arc::new(core);
        let start = |source| OpenError::Io { folder: folder.clone(), what: "starting a thread", source };
        let committer = Arc::new(Committer::start(&core).map_err(start)?);
        let catalogues =
            Catalogues::load(&core, &committer, self.now).map_err(|error| damaged(&folder, error.to_string()))?;
        let trace_numbers = TraceNumbers::resume(&core).map_err(|error| damaged(&folder, error.to_string()))?;
        let watch = Watch::start(&core).map_err(start)?;
        let scans = Arc::new(Semaphore::new(SCANS));
        Ok(SledStore { core, committer, catalogues, trace_numbers: Arc::new(trace_numbers), watch, scans })
    }

    fn io(&self, what: &'static str) -> impl Fn(io::Error) -> OpenError {
        let folder = self.config.data_dir.clone();
        move |source| OpenError::Io { folder: folder.clone(), what, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.config.data_dir.join(name)
    }

    /// Our own lock, taken before anything is touched; sled takes its own only after it has begun to write.
    fn lock(&self) -> Result<File, OpenError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path("store.lock"))
            .map_err(self.io("opening the lock file"))?;
        for _ in 0..RELEASE_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                // A store of this process that is just being dropped lets go in a moment.
                Err(TryLockError::WouldBlock) => thread::park_timeout(RELEASE_WAIT),
                Err(TryLockError::Error(source)) => return Err(self.io("locking the folder")(source)),
            }
        }
        Err(OpenError::Busy { folder: self.config.data_dir.clone() })
    }

    /// Gives up the ballast when the disk is too full to open the store at all.
    fn make_room(&self) {
        let ballast = self.path("ballast");
        if sync::free_bytes(&self.config.data_dir).is_ok_and(|free| free < self.config.free_space_floor_bytes)
            && fs::remove_file(&ballast).is_ok()
        {
            tracing::warn!("the disk is nearly full: {} was deleted so that the store can open", ballast.display());
        }
    }

    /// Whether there is a store to open, and which.
    fn origin(&self) -> Result<Origin, OpenError> {
        let database = database_folder(&self.config.data_dir);
        let unfinished = self.path("store.new").exists();
        match fs::read_to_string(id_file(&self.config.data_dir)) {
            Ok(id) if database.join("db").exists() => Ok(Origin::Known { id }),
            Ok(_) => Err(self.lost("there is an id of a store, but no store")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("reading the store's id")(error)),
            Err(_) if unfinished || !database.exists() => {
                // Nothing was ever acknowledged of a store whose creation was cut off.
                if database.exists() {
                    fs::remove_dir_all(&database).map_err(self.io("removing an unfinished store"))?;
                }
                write_synced(&self.path("store.new"), b"").map_err(self.io("creating the store"))?;
                Ok(Origin::New { id: Uuid::new_v4().to_string() })
            }
            Err(_) => Err(self.lost("there is a store, but the file store.id is missing")),
        }
    }

    fn lost(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Lost { folder: self.config.data_dir.clone(), reason: reason.into() }
    }

    /// A kill in the midst of writing a snapshot leaves a file that makes every later open fail.
    fn remove_leftovers(&self) -> io::Result<()> {
        let folder = database_folder(&self.config.data_dir);
        let files = match fs::read_dir(&folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for file in files {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                tracing::info!("{name} was left by a kill and is removed");
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn open_database(&self, health: &Arc<Health>) -> Result<Database, OpenError> {
        let folder = database_folder(&self.config.data_dir);
        let mut tries = 0;
        loop {
            match Database::open(&folder, self.config.cache_bytes, Arc::clone(health)) {
                Ok(database) => return Ok(database),
                // Our own lock is held, so sled's is held by what is left of an earlier store of this process.
                Err(::sled::Error::Io(error)) if is_locked(&error) && tries < RELEASE_TRIES => {
                    tries += 1;
                    thread::park_timeout(RELEASE_WAIT);
                }
                Err(::sled::Error::Io(error)) if is_locked(&error) => {
                    return Err(OpenError::Busy { folder: self.config.data_dir.clone() });
                }
                Err(::sled::Error::Io(error)) => return Err(self.io("opening the store")(error)),
                Err(::sled::Error::Unsupported(reason)) => {
                    return Err(self.lost(format!("it was made with another segment size ({reason})")));
                }
                Err(error) => return Err(damaged(&self.config.data_dir, error.to_string())),
            }
        }
    }

    fn identify(&self, database: &Database, origin: &Origin) -> Result<(), OpenError> {
        let stored = self.meta(database, key::STORE_ID)?;
        match (origin, stored) {
            (Origin::New { id }, None) => {
                let schema = SCHEMA_VERSION.to_string();
                self.put_meta(database, key::SCHEMA, schema.as_bytes())?;
                self.put_meta(database, key::STORE_ID, id.as_bytes())
            }
            (Origin::Known { id }, Some(stored)) if *id == stored => Ok(()),
            (Origin::Known { .. }, Some(_)) => Err(self.lost("the store is not the one that store.id names")),
            (Origin::Known { .. }, None) => Err(self.lost("the store opened empty")),
            (Origin::New { .. }, Some(_)) => Err(self.lost("a store appeared while one was being created")),
        }
    }

    fn check_schema(&self, database: &Database) -> Result<(), OpenError> {
        let stored = self.meta(database, key::SCHEMA)?.unwrap_or_default();
        match stored.parse() {
            Ok(found) if found > SCHEMA_VERSION => Err(OpenError::SchemaTooNew { found, known: SCHEMA_VERSION }),
            Ok(1..) => Ok(()),
            Ok(_) | Err(_) => Err(damaged(&self.config.data_dir, format!("its schema number is {stored:?}"))),
        }
    }

    /// Writes something and sees whether it is synced to the disk.
    fn probe(&self, database: &Database) -> Result<(), OpenError> {
        let before = sync::count();
        self.put_meta(database, key::PROBE, Uuid::new_v4().to_string().as_bytes())?;
        database.flush().map_err(|error| damaged(&self.config.data_dir, error.to_string()))?;
        if sync::count() == before { Err(OpenError::Unguarded) } else { Ok(()) }
    }

    /// Makes the files themselves last, then says that there is a store.
    fn finish_creation(&self, origin: &Origin) -> io::Result<()> {
        let Origin::New { id } = origin else { return Ok(()) };
        sync_files(&database_folder(&self.config.data_dir))?;
        let id_path = id_file(&self.config.data_dir);
        let draft = self.path("store.id.new");
        write_synced(&draft, id.as_bytes())?;
        fs::rename(&draft, &id_path)?;
        File::open(&self.config.data_dir)?.sync_all()?;
        fs::remove_file(self.path("store.new"))?;
        File::open(&self.config.data_dir)?.sync_all()?;
        // The folder itself may be new; a parent that may not be read is not ours to sync.
        let parent = self.config.data_dir.canonicalize()?.parent().map(File::open);
        parent.and_then(Result::ok).map_or(Ok(()), |parent| parent.sync_all())
    }

    fn meta(&self, database: &Database, name: &[u8]) -> Result<Option<String>, OpenError> {
        let value =
            database.get(Table::Meta, name).map_err(|error| damaged(&self.config.data_dir, error.to_string()))?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    fn put_meta(&self, database: &Database, name: &[u8], value: &[u8]) -> Result<(), OpenError> {
        database.put(Table::Meta, name, value).map_err(|error| damaged(&self.config.data_dir, error.to_string()))
    }
}

/// The file that names the store, made last: without it there is none.
pub(super) fn id_file(data_dir: &Path) -> PathBuf {
    data_dir.join("store.id")
}

/// Syncs sled's files themselves, which it does not do when it makes them.
pub(super) fn sync_files(folder: &Path) -> io::Result<()> {
    for name in ["conf", "db", "blobs"] {
        File::open(folder.join(name))?.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

/// Where the store comes from.
enum Origin {
    New { id: String },
    Known { id: String },
}

/// Whether sled could not have its lock; it says so in words only.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

impl Core {
    /// Keeps some room that can be given back when the disk is full.
    fn place_ballast(&self) {
        let (path, bytes) = (self.config.data_dir.join("ballast"), self.config.ballast_bytes);
        let present = fs::metadata(&path).map_or(0, |meta| meta.len());
        let needed = self.config.free_space_floor_bytes.saturating_add(bytes);
        if present >= bytes || sync::free_bytes(&self.config.data_dir).is_ok_and(|free| free < needed) {
            return;
        }
        if let Err(error) = fill(&path, bytes) {
            tracing::warn!("{} was not written: {error}", path.display());
        }
    }
}

/// Writes zeros: a file with holes would keep no room.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file)?;
    file.sync_all()
}
