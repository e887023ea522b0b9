//! The parameters of an agent, and its habits in showing them.

/// What an agent makes of names and partial paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::foreign) enum Habit {
    /// Lists one level, and expands partial paths.
    Faithful,
    /// Ends with a partial path, or with a name that it does not have.
    DiesOfWhatItLacks,
    /// Ends when it is asked for names.
    DiesOfNames,
    /// Does not know `GetParameterNames`.
    RefusesNames,
    /// Lists all parameters below, whatever `NextLevel` says, and no objects.
    ListsLeavesOnly,
    /// Returns the object itself for a partial path.
    ExpandsNothing,
    /// Takes a partial path for a name that it does not have.
    RefusesPartialPaths,
    /// Leaves out what it does not know.
    IgnoresPartialPaths,
    /// Answers the last name alone, and nothing for a partial path.
    AnswersTheLast,
}

/// Name below the root, type, value.
const LEAVES: [(&str, &str, &str); 9] = [
    ("DeviceInfo.SoftwareVersion", "string", "1"),
    ("DeviceInfo.UpTime", "unsignedInt", "77"),
    ("ManagementServer.URL", "string", "http://acs.example/"),
    ("ManagementServer.Username", "string", ""),
    ("ManagementServer.Password", "string", ""),
    ("ManagementServer.PeriodicInformEnable", "boolean", "1"),
    ("ManagementServer.PeriodicInformInterval", "unsignedInt", "77"),
    ("ManagementServer.ConnectionRequestUsername", "string", ""),
    ("ManagementServer.ConnectionRequestPassword", "string", ""),
];

/// What an agent does with a read.
#[derive(Debug)]
pub(super) enum Shown<T> {
    These(Vec<T>),
    Fault(u16),
    /// Nothing any more.
    Death,
}

fn below(root: &str, path: &str) -> Vec<(String, &'static str, &'static str)> {
    let leaves = LEAVES.iter().map(|(name, ty, value)| (format!("{root}{name}"), *ty, *value));
    leaves.filter(|(name, ..)| if path.ends_with('.') { name.starts_with(path) } else { name == path }).collect()
}

/// The answer to `GetParameterNames` with `NextLevel`.
pub(super) fn names(habit: Habit, root: &str, path: &str) -> Shown<String> {
    match habit {
        Habit::DiesOfNames => return Shown::Death,
        Habit::RefusesNames => return Shown::Fault(9000),
        Habit::ListsLeavesOnly => return Shown::These(below(root, path).into_iter().map(|(name, ..)| name).collect()),
        _ => {}
    }
    let child = |name: &str| {
        let (end, _) = name.get(path.len()..)?.match_indices('.').next()?;
        name.get(..=path.len() + end).map(str::to_owned)
    };
    let mut names: Vec<String> = below(root, path).into_iter().map(|(name, ..)| child(&name).unwrap_or(name)).collect();
    names.dedup();
    if names.is_empty() { Shown::Fault(9005) } else { Shown::These(names) }
}

/// The answer to `GetParameterValues`: names, types and values.
pub(super) fn values(habit: Habit, root: &str, paths: &[&str]) -> Shown<(String, &'static str, &'static str)> {
    let mut all = Vec::new();
    let last = paths.get(paths.len().saturating_sub(1)..).unwrap_or_default();
    for path in if habit == Habit::AnswersTheLast { last } else { paths } {
        let found = below(root, path);
        let partial = path.ends_with('.');
        match habit {
            Habit::DiesOfWhatItLacks if partial || found.is_empty() => return Shown::Death,
            Habit::RefusesPartialPaths if partial => return Shown::Fault(9005),
            Habit::ExpandsNothing if partial => all.push(((*path).to_owned(), "string", "")),
            Habit::IgnoresPartialPaths | Habit::AnswersTheLast if partial => {}
            _ if found.is_empty() => return Shown::Fault(9005),
            _ => all.extend(found),
        }
    }
    Shown::These(all)
}
