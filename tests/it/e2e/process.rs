//! The binary itself: start, ready, signals, exit codes, what it prints.

use std::path::Path;
use std::process::{Command, Output};

fn acsd(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acsd"));
    command.args(args).current_dir(folder).env_clear().output().unwrap()
}

#[test]
fn a_wrong_configuration_is_told_whole_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acsd.toml"), "nonsense = 1\n[cwmp]\nauth = \"magic\"\n").unwrap();
    for command in ["serve", "check-config"] {
        let output = acsd(folder.path(), &[command]);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(words.contains("nonsense") && words.contains("magic"), "both problems: {words}");
    }
    assert_eq!(acsd(folder.path(), &["serve", "--nonsense"]).status.code(), Some(2));
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acsd.toml"), "[cwmp]\nauth = \"basic\"\n").unwrap();
    let output = acsd(folder.path(), &["check-config"]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(words.contains("warning") && words.contains("clear"), "{words}");
}

#[test]
fn a_port_that_is_taken_is_a_run_time_failure_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = acsd(folder.path(), &["serve", "--cwmp-listen", "127.0.0.1:0", "--api-listen", &address]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&address), "{words}");
}
