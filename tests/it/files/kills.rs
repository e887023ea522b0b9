//! `kill -9` while files arrive, and disks that fill up under them.

#[cfg(target_os = "linux")]
mod full;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Client, Reply, bytes, names, sum, until};
use crate::crash::{free_address, ready, serve};
use crate::support::{ADMIN, Api};

const IMAGES: &str = "/firmware_image/";
const SERIAL: &str = "KILLED";

/// A folder for a daemon, and where it listens.
struct Home {
    folder: tempfile::TempDir,
    cwmp: SocketAddr,
    address: SocketAddr,
    api: Api,
}

impl Home {
    fn new() -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        let settings = "[cwmp]\nauth = \"none\"\nonboarding = \"open\"\n[api.limits]\nrate_per_second = 0\n\
            [sled]\nballast_bytes = 0\n[files]\nfree_space_floor_bytes = 0\n";
        std::fs::write(folder.path().join("acsd.toml"), settings).unwrap();
        Self { folder, cwmp: free_address(), address, api: Api::at(address) }
    }

    async fn start(&self, runner: Command) -> Child {
        let mut command = serve(runner, self.folder.path(), self.cwmp, self.address);
        command.env("ACSD_LOG", "off").stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("strace (package strace) has to be installed");
        ready(&self.api, &mut child).await;
        child
    }

    async fn again(&self, mut child: Child) -> Child {
        child.kill().unwrap();
        child.wait().unwrap();
        self.start(plainly()).await
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("data/files")
    }

    fn names(&self) -> Vec<String> {
        names(&self.files())
    }

    /// How many files are being written that will not be gone on with.
    fn passing(&self) -> usize {
        self.names().iter().filter(|name| name.starts_with(".new-")).count()
    }

    async fn connect(address: SocketAddr) -> Client {
        Client { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// A record of an image of which the file is to come.
    async fn announced(&self, data: &[u8]) -> u64 {
        let body = json!({"name": "x", "size": data.len(), "sha256": hex::encode(sum(data))});
        let made = self.api.call("POST", IMAGES, Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["id"].as_u64().unwrap()
    }

    /// A connection to the API with the head of a request written.
    async fn begin(&self, method: &str, path: &str, headers: &str) -> Client {
        let mut client = Self::connect(self.address).await;
        client
            .send(format!(
                "{method} /api/v1{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\n{headers}\r\n"
            ))
            .await;
        client
    }

    async fn ask(&self, method: &str, path: &str, headers: &str) -> Reply {
        self.begin(method, path, headers).await.reply(method).await
    }

    async fn put(&self, id: u64, length: usize, range: Option<String>) -> Client {
        let range = range.map(|range| format!("Content-Range: {range}\r\n")).unwrap_or_default();
        self.begin("PUT", &format!("{IMAGES}{id}/file/"), &format!("{range}Content-Length: {length}\r\n")).await
    }

    /// How much of an image is here.
    async fn offset(&self, id: u64) -> usize {
        let reply = self.ask("HEAD", &format!("{IMAGES}{id}/file/"), "").await;
        assert_eq!(reply.status(), 404, "{}", reply.head);
        reply.header("upload-offset").parse().unwrap()
    }

    /// Goes on with an image where it broke off.
    async fn go_on(&self, id: u64, data: &Bytes) -> Reply {
        let from = self.offset(id).await;
        let range = format!("bytes {from}-{}/{}", data.len() - 1, data.len());
        let mut client = self.put(id, data.len() - from, Some(range)).await;
        client.send(data.slice(from..)).await;
        client.reply("PUT").await
    }

    async fn form(&self, data: &[u8]) -> (Client, Bytes) {
        let head = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nF\r\n\
            --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
        let body: Bytes = [head.as_bytes(), data, b"\r\n--b--\r\n"].concat().into();
        let headers = format!("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n", body.len());
        (self.begin("POST", IMAGES, &headers).await, body)
    }

    /// Has a device told where to send a file; the path.
    async fn upload(&self) -> String {
        self.session("").await;
        let order = Some(json!({"upload": "log"}));
        let made = self.api.call("POST", &format!("/inventory_device_serial/{SERIAL}/files/"), order).await;
        assert_eq!(made.status, 202, "{}", made.body);
        let call = self.session(":Upload>").await;
        let url = call.split("<URL>").nth(1).and_then(|rest| rest.split("</URL>").next()).unwrap();
        url.strip_prefix("http://acs").expect("as it has called").to_owned()
    }

    /// A session of a device that can do nothing; the call that it waits for, and then leaves.
    async fn session(&self, awaited: &str) -> String {
        let mut client = Self::connect(self.cwmp).await;
        let inform = format!(
            "<c:Inform><DeviceId><Manufacturer>M</Manufacturer><OUI>00D09E</OUI><ProductClass>P</ProductClass>\
             <SerialNumber>{SERIAL}</SerialNumber></DeviceId><Event><EventStruct><EventCode>2 PERIODIC</EventCode>\
             <CommandKey/></EventStruct></Event><MaxEnvelopes>1</MaxEnvelopes>\
             <CurrentTime>2024-01-01T00:00:00Z</CurrentTime><RetryCount>0</RetryCount><ParameterList/></c:Inform>"
        );
        let opened = post(&mut client, "", &envelope(&inform)).await;
        assert_eq!(opened.status(), 200, "{}", opened.head);
        let cookie = format!("Cookie: {}\r\n", opened.header("set-cookie").split(';').next().unwrap());
        let mut asked = post(&mut client, &cookie, "").await;
        loop {
            let call = String::from_utf8(asked.body).unwrap();
            if call.is_empty() || (!awaited.is_empty() && call.contains(awaited)) {
                assert!(awaited.is_empty() || !call.is_empty(), "{awaited} never comes");
                return call;
            }
            let no = "<s:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring><detail>\
                <c:Fault><FaultCode>9003</FaultCode><FaultString/></c:Fault></detail></s:Fault>";
            asked = post(&mut client, &cookie, &envelope(no)).await;
        }
    }

    /// What devices have sent.
    async fn sent(&self) -> Value {
        self.api.get(&format!("/inventory_device_serial/{SERIAL}/files/")).await
    }

    /// Whatever is said to be here is: whole, and what it is said to be. How many images that are.
    async fn check(&self) -> usize {
        let images = self.api.get(&format!("{IMAGES}?limit=100")).await;
        let images = images["results"].as_array().unwrap().iter().filter(|image| image["is_complete"] == true);
        let mut count = 0;
        let images = images.map(|image| (format!("{IMAGES}{}/file/", image["id"]), image["sha256"].clone()));
        let sent = self.sent().await;
        let sent = sent["results"].as_array().unwrap().iter().map(|file| {
            (format!("/inventory_device_serial/{SERIAL}/files/{}/file/", file["id"]), file["sha256"].clone())
        });
        let images: Vec<_> = images.inspect(|_image| count += 1).chain(sent).collect();
        let mut known: Vec<String> = Vec::new();
        for (path, sha256) in images {
            let reply = self.ask("GET", &path, "").await;
            assert_eq!((reply.status(), json!(hex::encode(sum(&reply.body)))), (200, sha256.clone()), "{path}");
            known.push(sha256.as_str().unwrap().to_owned());
        }
        for name in self.names() {
            assert!(known.contains(&name) || name.starts_with("image-"), "left over: {name}");
        }
        count
    }
}

fn plainly() -> Command {
    Command::new("env")
}

fn envelope(body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:c=\"urn:dslforum-org:cwmp-1-2\">\
         <s:Header><c:ID s:mustUnderstand=\"1\">1</c:ID></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

async fn post(client: &mut Client, headers: &str, body: &str) -> Reply {
    let headers = format!("{headers}Content-Type: text/xml\r\nContent-Length: {}\r\n", body.len());
    client.ask("POST", "/", &headers, body.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_leaves_what_can_be_gone_on_with_and_nothing_else() {
    let home = Home::new();
    let child = home.start(plainly()).await;
    let data = bytes(20 << 20);
    let image = home.announced(&data).await;
    let path = home.upload().await;

    let mut putting = home.put(image, data.len(), None).await;
    putting.send(data.slice(..18 << 20)).await;
    let (mut posting, form) = home.form(&data).await;
    posting.send(form.slice(..4 << 20)).await;
    let mut sending = Home::connect(home.cwmp).await;
    sending.send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")).await;
    sending.send(data.slice(..500_000)).await;
    until("all three have begun", || home.passing() == 2).await;
    let certain = loop {
        match home.offset(image).await {
            0 => tokio::task::yield_now().await,
            certain => break certain,
        }
    };
    let child = home.again(child).await;

    assert_eq!(home.offset(image).await, certain, "what was certain is");
    assert_eq!(home.names(), [format!("image-{image}.{certain}")], "and nothing else");
    assert_eq!(home.check().await, 0);
    let all = home.api.get(IMAGES).await;
    assert_eq!((&all["count"], &home.sent().await["count"]), (&json!(1), &json!(0)), "{all}");
    assert_eq!(home.go_on(image, &data).await.status(), 200);
    // The device sends it again, under the same link.
    let mut sending = Home::connect(home.cwmp).await;
    let reply = sending.ask("PUT", &path, "Content-Length: 500000\r\n", &data[..500_000]).await;
    assert_eq!(reply.status(), 201);
    assert_eq!((home.check().await, &home.sent().await["count"]), (1, &json!(1)));
    let mut child = home.again(child).await;
    assert_eq!((home.check().await, &home.sent().await["count"]), (1, &json!(1)), "acknowledged is kept");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_near_the_end_leaves_no_record_without_its_bytes() {
    let home = Home::new();
    let mut child = home.start(plainly()).await;
    let path = home.upload().await;
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..6 {
        let data: Bytes = bytes(300_000 + round).slice(round..);
        let image = home.announced(&data).await;
        let mut putting = home.put(image, data.len(), None).await;
        putting.send(&data).await;
        let (mut posting, form) = home.form(&data.slice(1..)).await;
        posting.send(&form).await;
        let mut sending = Home::connect(home.cwmp).await;
        let head = format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", data.len() - 2);
        sending.send(head).await;
        sending.send(&data[2..]).await;
        // Before any answer, or right behind one of them.
        let answered = random.u8(..4);
        match answered {
            0 => {}
            1 => assert_eq!(putting.reply("PUT").await.status(), 200),
            2 => assert_eq!(posting.reply("POST").await.status(), 201),
            _ => assert!(matches!(sending.reply("PUT").await.status(), 200 | 201)),
        }
        child = home.again(child).await;
        home.check().await;
        let image = home.api.get(&format!("{IMAGES}{image}/")).await;
        if image["is_complete"] == false {
            assert_ne!(answered, 1, "it was acknowledged");
            let id = image["id"].as_u64().unwrap();
            assert_eq!(home.go_on(id, &data).await.status(), 200);
        }
    }
    assert!(home.check().await >= 6);
    child.kill().unwrap();
    child.wait().unwrap();
}
