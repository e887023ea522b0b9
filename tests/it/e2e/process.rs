//! The binary itself: start, ready, signals, exit codes, what it prints.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::crash::free_address;
use crate::support::{ADMIN, PATIENCE};

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
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = acsd(folder.path(), &["serve", "--cwmp-listen", "127.0.0.1:0", "--api-listen", &address]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&address), "{words}");
}

/// A running acsd that asks nobody for a login. Killed when dropped.
struct Served {
    child: Child,
    cwmp: SocketAddr,
}

impl Served {
    /// Starts it and waits until it takes connections of CPEs.
    fn start(folder: &Path, drain_secs: u64) -> Self {
        let (cwmp, api) = (free_address(), free_address());
        let config = format!("[cwmp]\nauth = \"none\"\n[cwmp.limits]\ndrain_timeout_secs = {drain_secs}\n");
        std::fs::write(folder.join("acsd.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_acsd"))
            .args(["serve", "--config", "acsd.toml"])
            .current_dir(folder)
            .env_clear()
            .env("ACSD_DATA_DIR", folder.join("data"))
            .env("ACSD_CWMP_LISTEN", cwmp.to_string())
            .env("ACSD_API_LISTEN", api.to_string())
            .env("ACSD_ADMIN_TOKEN", ADMIN)
            .env("ACSD_LOG", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        while TcpStream::connect(cwmp).is_err() {
            assert_eq!(child.try_wait().unwrap(), None, "it starts");
            std::thread::yield_now();
        }
        Self { child, cwmp }
    }

    fn terminate(&self) {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.cwmp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// POSTs and reads the answer: status, cookie if one is set, body.
fn post(stream: &TcpStream, cookie: &str, body: &str) -> (u16, String, String) {
    let mut writer = stream;
    write!(writer, "POST / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    let mut reader = BufReader::new(stream);
    let (mut status, mut set, mut length) = (0, String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(' ') {
            None => break,
            Some(("HTTP/1.1", rest)) => status = rest[..3].parse().unwrap(),
            Some(("Set-Cookie:", rest)) => set = rest.split(';').next().unwrap().to_owned(),
            Some(("Content-Length:", rest)) => length = rest.parse().unwrap(),
            Some(_) => {}
        }
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).unwrap();
    crate::codec::schema::assert_emitted(&text);
    (status, set, String::from_utf8(text).unwrap())
}

fn inform(serial: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:c=\"urn:dslforum-org:cwmp-1-2\">\
         <s:Header><c:ID s:mustUnderstand=\"1\">1</c:ID></s:Header><s:Body><c:Inform><DeviceId>\
         <Manufacturer>M</Manufacturer><OUI>00D09E</OUI><ProductClass>P</ProductClass>\
         <SerialNumber>{serial}</SerialNumber></DeviceId><Event><EventStruct><EventCode>0 BOOTSTRAP</EventCode>\
         <CommandKey/></EventStruct></Event><MaxEnvelopes>1</MaxEnvelopes>\
         <CurrentTime>2024-01-01T00:00:00Z</CurrentTime><RetryCount>0</RetryCount><ParameterList/></c:Inform></s:Body>\
         </s:Envelope>"
    )
}

/// The CPE refuses whatever it was asked.
const REFUSAL: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:c=\"urn:dslforum-org:cwmp-1-2\"><s:Body><s:Fault><faultcode>Client</faultcode>\
    <faultstring>CWMP fault</faultstring><detail><c:Fault><FaultCode>9000</FaultCode><FaultString>no</FaultString>\
    </c:Fault></detail></s:Fault></s:Body></s:Envelope>";

#[test]
fn a_session_that_is_open_at_sigterm_is_held_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), 20);
    let (session, mut idle) = (served.connect(), served.connect());
    let (status, cookie, _) = post(&session, "", &inform("TERM-1"));
    assert_eq!(status, 200);
    served.terminate();
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "who is in no session is closed");
    let mut answer = post(&session, &cookie, "");
    assert_eq!(answer.0, 200, "its settings are still given");
    while answer.0 == 200 {
        answer = post(&session, &cookie, REFUSAL);
    }
    assert_eq!(answer.0, 204);
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn a_session_that_says_no_more_is_cut_at_the_end_of_the_grace_and_its_work_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), 1);
    let mut session = served.connect();
    let (_, cookie, _) = post(&session, "", &inform("TERM-2"));
    let (status, _, call) = post(&session, &cookie, "");
    assert_eq!(status, 200, "a call is out");
    served.terminate();
    assert_eq!(session.read(&mut [0; 1]).unwrap_or(0), 0, "cut");
    assert!(served.child.wait().unwrap().success());
    let again = Served::start(folder.path(), 1);
    let session = again.connect();
    let (_, cookie, _) = post(&session, "", &inform("TERM-2"));
    let (status, _, repeated) = post(&session, &cookie, "");
    assert_eq!(status, 200, "it is called again");
    // What broke off was the listing of names in front of the settings, and it is left out the next time.
    assert!(call.contains("<cwmp:GetParameterNames>"), "{call}");
    let taken_up = repeated.contains("<cwmp:GetParameterValues>") && repeated.contains(".PeriodicInformInterval<");
    assert!(taken_up, "the same work is taken up: {repeated}");
}
