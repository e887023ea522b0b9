//! A disk that keeps what was synced, and of the rest whatever chance leaves.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::{Action, Event};

const PAGE: usize = 4096;

/// Which calls count as syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syncs {
    /// All.
    Counted,
    /// All but the guard's: as if sled had called `sync_file_range` itself.
    WithoutGuard,
}

/// A file or folder, whatever its name.
type Node = usize;

/// A file's content on the disk, and what has been done to it since.
#[derive(Debug, Default, Clone)]
struct File {
    content: Vec<u8>,
    pending: Vec<Pending<Change>>,
}

#[derive(Debug, Clone)]
struct Pending<T> {
    ended: usize,
    change: T,
}

#[derive(Debug, Clone)]
enum Change {
    /// Part of one page.
    Write {
        offset: usize,
        data: Vec<u8>,
    },
    Truncate(usize),
}

#[derive(Debug, Clone)]
enum Entry {
    Link { path: PathBuf, node: Option<Node> },
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
}

impl Entry {
    fn folder(&self) -> &Path {
        let (Self::Link { path, .. } | Self::Rename { to: path, .. } | Self::Remove(path)) = self;
        path.parent().expect("below the folder")
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Option<Node>>) {
        match self {
            Self::Link { path, node } => {
                names.insert(path.clone(), *node);
            }
            Self::Rename { from, to } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

/// The disk below one folder. Names lead to files, or to `None` for folders.
#[derive(Debug, Default, Clone)]
pub(super) struct Disk {
    root: PathBuf,
    /// As the process sees them.
    seen: BTreeMap<PathBuf, Option<Node>>,
    /// As they are on the disk.
    kept: BTreeMap<PathBuf, Option<Node>>,
    pending: Vec<Pending<Entry>>,
    files: Vec<File>,
}

impl Disk {
    /// Takes in a folder; all in it is on the disk.
    pub(super) fn load(root: &Path) -> Self {
        let mut disk = Self { root: root.to_owned(), ..Self::default() };
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for found in fs::read_dir(folder).unwrap() {
                let path = found.unwrap().path();
                if path.is_dir() {
                    disk.seen.insert(path.clone(), None);
                    folders.push(path);
                } else {
                    disk.seen.insert(path.clone(), Some(disk.files.len()));
                    disk.files.push(File { content: fs::read(path).unwrap(), pending: Vec::new() });
                }
            }
        }
        disk.kept = disk.seen.clone();
        disk
    }

    /// Does what happened up to the cut at line `cut`.
    pub(super) fn replay(&mut self, events: &[Event], cut: usize, syncs: Syncs) {
        for event in events.iter().take_while(|event| event.began < cut) {
            let synced = event.ended < cut;
            match &event.action {
                Action::Create(path) => {
                    if !self.seen.contains_key(path) {
                        let node = Some(self.files.len());
                        self.files.push(File::default());
                        self.enter(event, Entry::Link { path: path.clone(), node });
                    }
                }
                Action::MakeFolder(path) => self.enter(event, Entry::Link { path: path.clone(), node: None }),
                Action::Rename { from, to } => {
                    self.enter(event, Entry::Rename { from: from.clone(), to: to.clone() });
                }
                Action::Remove(path) => self.enter(event, Entry::Remove(path.clone())),
                Action::Write { path, offset, data } => self.write(event, path, *offset, data),
                Action::Truncate { path, length } => self.change(event, path, Change::Truncate(*length)),
                Action::Sync(path) if synced => self.sync(event, path),
                Action::SyncData(path) if synced && syncs == Syncs::Counted => self.sync(event, path),
                Action::SyncFileSystem if synced => self.sync_all(event),
                Action::Sync(_) | Action::SyncData(_) | Action::SyncFileSystem | Action::Say(_) => {}
            }
        }
    }

    fn enter(&mut self, event: &Event, entry: Entry) {
        entry.apply(&mut self.seen);
        self.pending.push(Pending { ended: event.ended, change: entry });
    }

    fn change(&mut self, event: &Event, path: &Path, change: Change) {
        // One without a name has been removed while it was open.
        if let Some(Some(node)) = self.seen.get(path) {
            self.files[*node].pending.push(Pending { ended: event.ended, change });
        }
    }

    fn write(&mut self, event: &Event, path: &Path, offset: usize, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let offset = offset + done;
            let length = (PAGE - offset % PAGE).min(data.len() - done);
            self.change(event, path, Change::Write { offset, data: data[done..done + length].to_vec() });
            done += length;
        }
    }

    fn sync(&mut self, event: &Event, path: &Path) {
        match self.seen.get(path) {
            Some(Some(node)) => self.files[*node].settle(event.began),
            Some(None) => self.settle_names(event.began, |folder| folder == path),
            None if path == self.root => self.settle_names(event.began, |folder| folder == path),
            None => {}
        }
    }

    fn sync_all(&mut self, event: &Event) {
        self.settle_names(event.began, |_| true);
        for file in &mut self.files {
            file.settle(event.began);
        }
    }

    fn settle_names(&mut self, began: usize, covered: impl Fn(&Path) -> bool) {
        let (settled, pending): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|one| one.ended < began && covered(one.change.folder()));
        for entry in settled {
            entry.change.apply(&mut self.kept);
        }
        self.pending = pending;
    }

    /// Cuts the power: of what was not synced each folder keeps the first few changes, each page the first few writes.
    /// A change is followed by the next with the probability `luck`.
    pub(super) fn cut(&mut self, luck: f64, random: &mut fastrand::Rng) {
        let mut stopped: HashMap<PathBuf, bool> = HashMap::new();
        for entry in self.pending.drain(..) {
            let stopped = stopped.entry(entry.change.folder().to_owned()).or_default();
            *stopped = *stopped || random.f64() > luck;
            if !*stopped {
                entry.change.apply(&mut self.kept);
            }
        }
        self.seen = self.kept.clone();
        for file in &mut self.files {
            file.cut(luck, random);
        }
    }

    /// As the process saw it in the end.
    pub(super) fn finish(&mut self) {
        self.settle_names(usize::MAX, |_| true);
        for file in &mut self.files {
            file.settle(usize::MAX);
        }
    }

    /// Puts what is on the disk into another folder.
    pub(super) fn store(&self, folder: &Path) {
        let place = |path: &Path| folder.join(path.strip_prefix(&self.root).expect("below the folder"));
        for (path, node) in &self.kept {
            // A file whose folder is not on the disk is lost.
            match node {
                None => fs::create_dir(place(path)).unwrap_or_default(),
                Some(node) => fs::write(place(path), &self.files[*node].content).unwrap_or_default(),
            }
        }
    }

    /// Names, and a digest of what is in each.
    pub(super) fn digest(&self) -> BTreeMap<PathBuf, Option<(usize, u64)>> {
        let digest = |node: &Node| {
            let content = &self.files[*node].content;
            let sum = content.iter().fold(0_u64, |sum, byte| sum.rotate_left(5).wrapping_mul(31) ^ u64::from(*byte));
            (content.len(), sum)
        };
        self.kept.iter().map(|(path, node)| (path.clone(), node.as_ref().map(digest))).collect()
    }
}

impl File {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { offset, data } => {
                let end = offset + data.len();
                if self.content.len() < end {
                    self.content.resize(end, 0);
                }
                self.content[*offset..end].copy_from_slice(data);
            }
            Change::Truncate(length) => self.content.resize(*length, 0),
        }
    }

    /// Applies what had ended before a sync began.
    fn settle(&mut self, began: usize) {
        let (settled, pending): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|one| one.ended < began);
        for one in settled {
            self.apply(&one.change);
        }
        self.pending = pending;
    }

    fn cut(&mut self, luck: f64, random: &mut fastrand::Rng) {
        let mut stopped: HashMap<usize, bool> = HashMap::new();
        for one in std::mem::take(&mut self.pending) {
            let kept = match &one.change {
                Change::Write { offset, .. } => {
                    let stopped = stopped.entry(offset / PAGE).or_default();
                    *stopped = *stopped || random.f64() > luck;
                    !*stopped
                }
                Change::Truncate(_) => random.f64() <= luck,
            };
            if kept {
                self.apply(&one.change);
            }
        }
    }
}
