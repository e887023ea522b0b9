//! The rules of `deny.toml` on bans, duplicates, licences and sources, held without any tool installed.
//!
//! What is looked at is what Cargo would build for this machine, tests included: nothing is downloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Rules {
    bans: Bans,
    licenses: Licenses,
    sources: Sources,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    /// Crates that may depend on it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
struct Skip {
    /// `name@version`, the version as exact as it is written.
    #[serde(rename = "crate")]
    spec: String,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

impl Package {
    fn matches(&self, spec: &str) -> bool {
        let (name, version) = spec.split_once('@').expect("name@version");
        self.name == name && (self.version == version || self.version.starts_with(&format!("{version}.")))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rules() -> Rules {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml")).expect("valid rules")
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn metadata() -> Metadata {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let text = cargo(&["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host]);
    serde_json::from_str(&text).expect("cargo's own format")
}

/// Whether an SPDX expression can be met with the allowed licences. The old `MIT/Apache-2.0` means `OR`.
fn is_licensed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any_of(&mut rest, allowed);
    assert!(rest.is_empty(), "{expression:?} is no licence expression");
    met
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    let is_allowed = |name: &str| allowed.iter().any(|allowed| allowed == name);
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any_of(words, allowed);
            let [")", rest @ ..] = *words else { panic!("a bracket is not closed before {words:?}") };
            *words = rest;
            met
        }
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            is_allowed(&format!("{name} WITH {exception}"))
        }
        [name, rest @ ..] => {
            *words = rest;
            is_allowed(name)
        }
        [] => panic!("a licence is missing"),
    }
}

#[test]
fn every_dependency_keeps_the_rules() {
    let (rules, metadata) = (rules(), metadata());
    let mut broken = Vec::new();

    let by_id: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    for node in &metadata.resolve.nodes {
        let user = by_id[node.id.as_str()];
        for dependency in &node.dependencies {
            let dependency = by_id[dependency.as_str()];
            for ban in rules.bans.deny.iter().filter(|ban| ban.name == dependency.name) {
                if !ban.wrappers.contains(&user.name) {
                    broken.push(format!("{} uses {}: {}", user.name, ban.name, ban.reason));
                }
            }
        }
    }

    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        if !rules.bans.skip.iter().any(|skip| package.matches(&skip.spec)) {
            versions.entry(&package.name).or_default().insert(&package.version);
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        broken.push(format!("{name} is there more than once: {versions:?}"));
    }
    for skip in &rules.bans.skip {
        if !metadata.packages.iter().any(|package| package.matches(&skip.spec)) {
            broken.push(format!("{} is skipped in deny.toml but no longer there", skip.spec));
        }
    }

    for package in &metadata.packages {
        match package.license.as_deref() {
            Some(license) if is_licensed(license, &rules.licenses.allow) => {}
            Some(license) => broken.push(format!("{} is licensed {license}", package.name)),
            None => broken.push(format!("{} names no licence", package.name)),
        }
        // Without a source it is this crate itself.
        if let Some(source) = &package.source {
            let allowed = source
                .strip_prefix("registry+")
                .is_some_and(|registry| rules.sources.allow_registry.iter().any(|allowed| allowed == registry));
            if !allowed {
                broken.push(format!("{} comes from {source}", package.name));
            }
        }
    }
    assert!(broken.is_empty(), "deny.toml is not kept:\n{}", broken.join("\n"));
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    let table = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND Zlib", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
    ];
    for (expression, want) in table {
        assert_eq!(is_licensed(expression, &allowed), want, "{expression}");
    }
}
