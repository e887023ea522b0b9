//! What is written about the configuration is what the code does: `acsd.example.toml` and the tables of `README.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use acsd::config::args::ServeArgs;
use acsd::config::{Config, Problem};
use clap::Args as _;
use toml::{Table, Value};

/// Keys of a table that the file may have and that the code lists nowhere: it reads them one by one.
const TOP: [&str; 16] = [
    "data_dir",
    "public_url",
    "store",
    "tls",
    "cwmp",
    "api",
    "connection_request",
    "transactions",
    "files",
    "events",
    "health",
    "webhooks",
    "campaigns",
    "traces",
    "sled",
    "log",
];

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The example with every key in force: keys are commented out by a `#` with no blank behind it, prose has one.
fn example_in_force() -> String {
    let mut text = String::new();
    for line in document("acsd.example.toml").lines() {
        let key = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        text.push_str(key.unwrap_or(line));
        text.push('\n');
    }
    text
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    }

    fn load(&self, text: &str) -> Result<Config, Vec<Problem>> {
        let config = Some(self.write("acsd.toml", text));
        Config::load(&ServeArgs { config, ..ServeArgs::default() })
    }

    /// The keys of a table, as acsd itself lists them to whoever gives it one that it does not know.
    fn keys_of(&self, table: &str) -> BTreeSet<String> {
        let problems = self.load(&format!("[{table}]\nno_such_key = 1\n")).expect_err("no such key");
        let words = problems.iter().map(ToString::to_string).find(|words| words.contains("no_such_key"));
        let words = words.unwrap_or_else(|| panic!("[{table}]: {problems:?}"));
        let (_, expected) = words.split_once("expected").unwrap_or_else(|| panic!("no keys in {words:?}"));
        // Further lines say where in the file.
        let expected = expected.lines().next().unwrap_or_default();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// Every key with its place, from the table `place` (empty: the top) down.
    fn walk(&self, place: &str, table: &Table, found: &mut BTreeSet<String>) {
        let known = if place.is_empty() { TOP.map(str::to_owned).into() } else { self.keys_of(place) };
        let written: BTreeSet<String> = table.keys().cloned().collect();
        assert_eq!(written, known, "keys of [{place}] in acsd.example.toml (left) and in the code (right)");
        for (key, value) in table {
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            match value {
                Value::Table(table) => self.walk(&place, table, found),
                _ => {
                    found.insert(place);
                }
            }
        }
    }

    fn all_keys(&self) -> BTreeSet<String> {
        let table: Table = example_in_force().parse().expect("TOML");
        let mut found = BTreeSet::new();
        self.walk("", &table, &mut found);
        found
    }
}

#[test]
fn the_example_is_accepted_and_tells_the_defaults() {
    let folder = Folder::new();
    let pair = rcgen::generate_simple_self_signed(["acs.example.net".to_owned()]).expect("a certificate");
    let certificate = folder.write("certificate.pem", &pair.cert.pem());
    let key = folder.write("key.pem", &pair.signing_key.serialize_pem());
    let text = example_in_force()
        .replace("/etc/acsd/webhooks-ca.pem", certificate.to_str().expect("UTF-8"))
        .replace("/etc/acsd/fullchain.pem", certificate.to_str().expect("UTF-8"))
        .replace("/etc/acsd/privkey.pem", key.to_str().expect("UTF-8"));
    let mut config = folder.load(&text).expect("the example is good");

    // What has no default is there to show its form.
    assert!(config.tls.take().is_some() && config.public_url.take().is_some());
    assert!(config.cwmp.onboarding_username.take().is_some() && config.cwmp.onboarding_password.take().is_some());
    assert!(config.api.admin_token.take().is_some() && config.webhooks.ca_file.take().is_some());
    assert!(config.files.listen.take().is_some() && config.files.public_url.take().is_some());
    let (told, default) = (format!("{config:#?}"), format!("{:#?}", Config::default()));
    assert_eq!(told, default, "the example (left) tells other defaults than the code (right)");

    folder.load(&document("acsd.example.toml")).expect("as it is, too");
}

#[test]
fn the_example_has_every_key() {
    assert!(Folder::new().all_keys().len() > 50);
}

#[test]
fn the_readme_names_every_variable_flag_and_key() {
    let readme = document("README.md");
    let mut missing: Vec<String> =
        Folder::new().all_keys().into_iter().filter(|key| !readme.contains(&format!("`{key}`"))).collect();
    let serve = ServeArgs::augment_args(clap::Command::new("serve"));
    for argument in serve.get_arguments() {
        let flag = format!("`--{}`", argument.get_long().expect("every argument has a flag"));
        let variable = argument.get_env().unwrap_or_else(|| panic!("{flag} has a variable")).to_string_lossy();
        missing.extend([flag, format!("`{variable}`")].into_iter().filter(|name| !readme.contains(name)));
    }
    assert!(missing.is_empty(), "README.md does not name {missing:?}");
}
