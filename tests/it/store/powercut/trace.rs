//! What a process did to the files of a folder, read from the output of strace.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What strace has to be told, so that [`read`] understands it: all threads, whole buffers in hexadecimal, paths of
/// descriptors.
pub(super) const OPTIONS: [&str; 8] = ["-f", "-y", "-xx", "-s", "33554432", "--seccomp-bpf", "-e", CALLS];

const CALLS: &str = "trace=open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,\
    copy_file_range,sendfile,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,\
    symlinkat,fsync,fdatasync,sync_file_range,syncfs,sync";

/// One call that changed something, synced something, or acknowledged something.
#[derive(Debug)]
pub(super) struct Event {
    /// The thread that called.
    pub(super) thread: u32,
    /// Line at which the call began.
    pub(super) began: usize,
    /// Line at which it had returned.
    pub(super) ended: usize,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    /// The file is there from now on, empty if it was not there before.
    Create(PathBuf),
    MakeFolder(PathBuf),
    Write {
        path: PathBuf,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove(PathBuf),
    /// Of a file with its metadata, or of a folder.
    Sync(PathBuf),
    /// Of a file's content and length: what the guard does, and nothing else here.
    SyncData(PathBuf),
    SyncFileSystem,
    /// A line on the standard output.
    Say(String),
}

/// A call, its two lines put together.
struct Call<'a> {
    name: &'a str,
    arguments: Vec<&'a str>,
    result: i64,
    /// The path of the descriptor it returned.
    opened: &'a str,
}

/// All that happened below `folder`, in the order of its beginning.
pub(super) fn read(trace: &str, folder: &Path) -> Vec<Event> {
    let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut reader = Reader { folder, positions: HashMap::new(), events: Vec::new() };
    for (number, line) in trace.lines().enumerate() {
        let (thread, text) = line.split_once(' ').expect("a thread and what it did");
        let text = text.trim_start();
        if let Some(head) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (number, head));
        } else if text.starts_with("<... ") {
            let (_, tail) = text.split_once(" resumed>").expect("what was resumed");
            let (began, head) = begun.remove(thread).expect("it began");
            reader.take(thread, began, number, &format!("{head}{tail}"));
        } else if !text.starts_with("+++") && !text.starts_with("---") {
            reader.take(thread, number, number, text);
        }
    }
    // What was still going on in the end may have happened.
    for (thread, (began, head)) in begun {
        reader.take(thread, began, usize::MAX, &format!("{head}) = 0"));
    }
    reader.events.sort_by_key(|event| event.began);
    reader.events
}

struct Reader<'a> {
    folder: &'a Path,
    /// Where the next write of a descriptor goes.
    positions: HashMap<u32, usize>,
    events: Vec<Event>,
}

impl Reader<'_> {
    fn take(&mut self, thread: &str, began: usize, ended: usize, text: &str) {
        let Some(call) = parse(text) else { return };
        for action in self.actions(&call) {
            let elsewhere = |path: &PathBuf| !path.starts_with(self.folder);
            let ignored = match &action {
                Action::Create(path) | Action::MakeFolder(path) | Action::Remove(path) => elsewhere(path),
                Action::Sync(path) | Action::SyncData(path) => elsewhere(path),
                Action::Write { path, .. } | Action::Truncate { path, .. } => elsewhere(path),
                Action::Rename { to, .. } => elsewhere(to),
                Action::SyncFileSystem | Action::Say(_) => false,
            };
            if !ignored {
                self.events.push(Event { thread: thread.parse().expect("its id"), began, ended, action });
            }
        }
    }

    fn actions(&mut self, call: &Call<'_>) -> Vec<Action> {
        let Call { arguments, result, .. } = call;
        let at = |index: usize| *arguments.get(index).unwrap_or_else(|| panic!("{} has more arguments", call.name));
        let number = |index: usize| at(index).parse::<usize>().expect("a number");
        let done = usize::try_from(*result).expect("only what succeeded");
        match call.name {
            "openat" => {
                let (path, flags) = (PathBuf::from(string(at(1))), at(2));
                self.positions.insert(u32::try_from(done).expect("a descriptor"), 0);
                assert!(!flags.contains("O_APPEND") || !path.starts_with(self.folder), "not understood: {flags}");
                assert!(path.is_absolute() || !descriptor(call.opened).1.starts_with(self.folder), "{path:?}");
                let mut actions = Vec::new();
                if flags.contains("O_CREAT") {
                    actions.push(Action::Create(path.clone()));
                }
                if flags.contains("O_TRUNC") {
                    actions.push(Action::Truncate { path, length: 0 });
                }
                actions
            }
            "write" => {
                let ((fd, path), mut data) = (descriptor(at(0)), bytes(at(1)));
                if fd == 1 {
                    return vec![Action::Say(String::from_utf8_lossy(&data).into_owned())];
                }
                data.truncate(done);
                let position = self.positions.entry(fd).or_default();
                let offset = *position;
                *position += done;
                vec![Action::Write { path, offset, data }]
            }
            "pwrite64" => {
                let mut data = bytes(at(1));
                data.truncate(done);
                vec![Action::Write { path: descriptor(at(0)).1, offset: number(3), data }]
            }
            "ftruncate" => vec![Action::Truncate { path: descriptor(at(0)).1, length: number(1) }],
            "mkdir" => vec![Action::MakeFolder(string(at(0)).into())],
            "rename" => vec![Action::Rename { from: string(at(0)).into(), to: string(at(1)).into() }],
            "unlink" | "rmdir" => vec![Action::Remove(string(at(0)).into())],
            "unlinkat" => vec![Action::Remove(descriptor(at(0)).1.join(string(at(1))))],
            "fsync" => vec![Action::Sync(descriptor(at(0)).1)],
            "fdatasync" => vec![Action::SyncData(descriptor(at(0)).1)],
            "syncfs" | "sync" => vec![Action::SyncFileSystem],
            // No sync at all, which is why there is a guard.
            "sync_file_range" => Vec::new(),
            other => {
                let touched = arguments.iter().any(|argument| descriptor(argument).1.starts_with(self.folder));
                assert!(!touched, "{other} is not understood");
                Vec::new()
            }
        }
    }
}

/// `None`: it failed.
fn parse(text: &str) -> Option<Call<'_>> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?.split(", ").collect();
    let digits = result.find(|c: char| !c.is_ascii_digit()).unwrap_or(result.len());
    Some(Call { name, arguments, result: result[..digits].parse().ok()?, opened: result })
}

/// A descriptor and its path, `7<\x2f...>`.
fn descriptor(text: &str) -> (u32, PathBuf) {
    let Some((number, path)) = text.split_once('<') else { return (u32::MAX, PathBuf::new()) };
    let path = path.rsplit_once('>').map_or(path, |(path, _)| path);
    let path = String::from_utf8_lossy(&unescape(path)).into_owned();
    (number.parse().unwrap_or(u32::MAX), path.into())
}

fn string(text: &str) -> String {
    String::from_utf8(bytes(text)).expect("a path of this test")
}

/// `"\x61\x62"`.
fn bytes(text: &str) -> Vec<u8> {
    let content = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect("a whole string");
    unescape(content)
}

fn unescape(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).expect("hexadecimal");
    let (mut found, mut rest) = (Vec::with_capacity(text.len() / 4), text.as_bytes());
    while let Some((&first, tail)) = rest.split_first() {
        if let [b'x', high, low, tail @ ..] = tail
            && first == b'\\'
        {
            found.push(digit(*high) << 4 | digit(*low));
            rest = tail;
        } else {
            found.push(first);
            rest = tail;
        }
    }
    found
}
