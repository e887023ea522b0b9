//! Reading `acsd.toml`.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Config, Problem, TlsFiles, args};

/// Reads a file. What is wrong is named; what is right is taken all the same, so that its checks are made, too.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Config {
    let mut config = Config::default();
    let place = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::new(place, format!("cannot be read: {error}")));
            return config;
        }
    };
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            problems.push(Problem::new(place, error.to_string().trim().to_owned()));
            return config;
        }
    };
    // Each key by itself, so that one mistake does not hide the others.
    for (key, value) in table {
        let wrong = match key.as_str() {
            "data_dir" => whole(set(&mut config.data_dir, value)),
            "public_url" => whole(set(&mut config.public_url, value)),
            "store" => whole(value.as_str().map_or_else(
                || Err("must be text".to_owned()),
                |text| args::parse_store(text).map(|store| config.store = store),
            )),
            "tls" => whole(set_tls(&mut config, value)),
            "cwmp" => set_section(&mut config.cwmp, value),
            "api" => set_section(&mut config.api, value),
            "connection_request" => set_section(&mut config.connection_request, value),
            "transactions" => set_section(&mut config.transactions, value),
            "files" => set_section(&mut config.files, value),
            "events" => set_section(&mut config.events, value),
            "health" => set_section(&mut config.health, value),
            "webhooks" => set_section(&mut config.webhooks, value),
            "campaigns" => set_section(&mut config.campaigns, value),
            "traces" => set_section(&mut config.traces, value),
            "sled" => set_section(&mut config.sled, value),
            "log" => set_section(&mut config.log, value),
            _ => whole(Err("is no known key".to_owned())),
        };
        for (below, problem) in wrong {
            problems.push(Problem::new(format!("{place}: {key}{below}"), problem));
        }
    }
    config
}

/// What is wrong with a key: where below it, and what.
type Wrong = Vec<(String, String)>;

/// The key as a whole.
fn whole(read: Result<(), String>) -> Wrong {
    read.err().map(|problem| (String::new(), problem)).into_iter().collect()
}

fn set<T: DeserializeOwned>(field: &mut T, value: Value) -> Result<(), String> {
    *field = value.try_into().map_err(|error: toml::de::Error| error.to_string().trim().to_owned())?;
    Ok(())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    certificate: PathBuf,
    key: PathBuf,
}

fn set_tls(config: &mut Config, value: Value) -> Result<(), String> {
    let section: TlsSection = value.try_into().map_err(|error: toml::de::Error| error.to_string().trim().to_owned())?;
    config.tls = Some(TlsFiles { certificate: section.certificate, key: section.key });
    Ok(())
}

/// Reads a section key by key, so that one mistake does not hide the others. All of its keys may be left out.
fn set_section<T: DeserializeOwned>(field: &mut T, section: Value) -> Wrong {
    let Value::Table(section) = section else { return whole(Err("must be a table".to_owned())) };
    let (mut good, mut wrong) = (Table::new(), Wrong::new());
    for (path, value) in leaves(section) {
        let mut alone = Table::new();
        insert(&mut alone, &path, value.clone());
        match Value::Table(alone).try_into::<T>() {
            Ok(_) => insert(&mut good, &path, value),
            Err(error) => wrong.push((format!(".{}", path.join(".")), first_line(&error))),
        }
    }
    wrong.extend(whole(set(field, Value::Table(good))));
    wrong
}

/// Every value that is no table, with its path; a table without any stands for itself.
fn leaves(table: Table) -> Vec<(Vec<String>, Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                for (mut path, value) in leaves(inner) {
                    path.insert(0, key.clone());
                    found.push((path, value));
                }
            }
            leaf => found.push((vec![key], leaf)),
        }
    }
    found
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The problem; the lines behind it say where, which the path says better.
fn first_line(error: &toml::de::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}
