//! Envelopes against the schemas in `xsd/`, by way of `xmllint` (package `libxml2-utils`).

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use acsd::cwmp::version::CwmpVersion;

/// Panics with xmllint's words unless the envelope is valid in this version. Either direction will do.
pub(crate) fn assert_valid(envelope: &[u8], version: CwmpVersion) {
    if let Err(complaint) = validity(envelope, version) {
        panic!("not valid in CWMP {version}: {complaint}\n{}", String::from_utf8_lossy(envelope));
    }
}

/// [`assert_valid`] of many in one process. Names say in the complaint which one it was.
pub(crate) fn assert_all_valid<'a>(envelopes: impl IntoIterator<Item = (String, &'a [u8])>, version: CwmpVersion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files = Vec::new();
    for (at, (name, envelope)) in envelopes.into_iter().enumerate() {
        let file = folder.path().join(format!("{at:05}-{}.xml", name.replace(['/', ' '], "-")));
        std::fs::write(&file, envelope).expect("a file written");
        files.push(file);
    }
    // A command line has room for some thousand names.
    for batch in files.chunks(1000) {
        let output = xmllint(version).args(batch).output().expect("xmllint (libxml2-utils) has to be installed");
        let complaint = String::from_utf8_lossy(&output.stderr);
        let bad: Vec<&str> = complaint.lines().filter(|line| !line.ends_with(" validates")).collect();
        let first = batch.iter().find(|file| complaint.contains(&format!("{} fails", file.display())));
        let shown = first.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        assert!(output.status.success(), "not valid in CWMP {version}:\n{}\n{shown}", bad.join("\n"));
    }
}

/// [`assert_valid`] of what acsd answered to a POST, by the version it is in; what is no CWMP passes. Envelopes that
/// differ in texts alone are looked at once.
pub(crate) fn assert_emitted(answer: &[u8]) {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let text = String::from_utf8_lossy(answer);
    let versions = [
        ("urn:dslforum-org:cwmp-1-0", CwmpVersion::V1_0),
        ("urn:dslforum-org:cwmp-1-1", CwmpVersion::V1_1),
        // Later versions share the namespace, and say which they are.
        (">1.3</cwmp:UseCWMPVersion>", CwmpVersion::V1_3),
        (">1.4</cwmp:UseCWMPVersion>", CwmpVersion::V1_4),
        ("urn:dslforum-org:cwmp-1-2", CwmpVersion::V1_2),
    ];
    let Some((_, version)) = versions.into_iter().find(|(mark, _)| text.contains(mark)) else { return };
    let shape =
        text.split('<').filter_map(|piece| piece.split_once('>')).map(|(tag, _)| tag).collect::<Vec<_>>().join("<");
    if SEEN.lock().expect("not poisoned").insert(shape) {
        assert_valid(answer, version);
    }
}

/// Whether the envelope is valid in this version; xmllint's complaint if not.
pub(crate) fn validity(envelope: &[u8], version: CwmpVersion) -> Result<(), String> {
    let mut xmllint = xmllint(version)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint (libxml2-utils) has to be installed");
    xmllint.stdin.take().expect("a pipe").write_all(envelope).expect("xmllint reads");
    let output = xmllint.wait_with_output().expect("xmllint ends");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn xmllint(version: CwmpVersion) -> Command {
    let name = format!("xsd/envelope-{}.xsd", version.as_str().replace('.', "-"));
    let schema = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--nonet", "--schema"]).arg(schema);
    command
}

#[test]
fn schemas_refuse_what_their_version_does_not_have() {
    let body = |method: &str| {
        format!(
            r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:cwmp="urn:dslforum-org:cwmp-1-2"><e:Body><cwmp:{method}/></e:Body></e:Envelope>"#
        )
    };
    let older = |text: &str, namespace: &str| text.replace("urn:dslforum-org:cwmp-1-2", namespace);
    let cancel = body("CancelTransferResponse");
    assert_eq!(validity(cancel.as_bytes(), CwmpVersion::V1_2), Ok(()));
    assert!(validity(older(&cancel, "urn:dslforum-org:cwmp-1-1").as_bytes(), CwmpVersion::V1_1).is_err());
    let queued = older(&body("GetAllQueuedTransfers"), "urn:dslforum-org:cwmp-1-1");
    assert_eq!(validity(queued.as_bytes(), CwmpVersion::V1_1), Ok(()));
    assert!(validity(older(&queued, "urn:dslforum-org:cwmp-1-0").as_bytes(), CwmpVersion::V1_0).is_err());
    assert!(validity(body("ScheduleUpload").as_bytes(), CwmpVersion::V1_4).is_err(), "in no version");
}
