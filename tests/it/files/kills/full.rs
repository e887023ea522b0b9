//! A disk that fills up while files arrive.

use std::process::Command;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{Home, IMAGES};
use crate::files::{Client, Reply, bytes, until};

/// Lets writes fail, for want of room, of files in `files` that acsd is to make: from the second one of each thread on.
fn full(home: &Home, names: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    // The shell becomes strace, which stands aside and leaves its number to the daemon: `$$` in names of files is its.
    let paths: String = names.iter().map(|name| format!(" -P \"{}/{name}\"", home.files().display())).collect();
    let strace = "exec strace -D -f -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=2+";
    shell.args(["-c", &format!("{strace}{paths} \"$@\""), "sh"]);
    shell
}

/// Sends all of it, as far as anybody listens, and reads the answer.
async fn send_all(mut client: Client, data: &[u8], method: &str) -> Reply {
    // It may be closed before the end.
    let _sent = client.stream.write_all(data).await;
    client.reply(method).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_is_said_in_words_and_acsd_goes_on() {
    let home = Home::new();
    let child = home.start(full(&home, &["image-1.0", ".new-$$-0", ".new-$$-1"])).await;
    let data = bytes(4 << 20);
    let image = home.announced(&data).await;
    assert_eq!(image, 1);
    let path = home.upload().await;

    let said = |reply: &Reply| {
        let words = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status(), 507, "{} {words}", reply.head);
        assert!(words.contains("too little free space"), "{words}");
    };
    said(&send_all(home.put(image, data.len(), None).await, &data, "PUT").await);
    let (posting, form) = home.form(&data).await;
    said(&send_all(posting, &form, "POST").await);
    let mut sending = Home::connect(home.cwmp).await;
    sending.send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", data.len())).await;
    said(&send_all(sending, &data, "PUT").await);

    // Of the image its beginning stays, which can be gone on with: nothing else does.
    until("nothing is being written", || home.passing() == 0).await;
    assert_eq!(home.names().len(), 1, "{:?}", home.names());
    assert_eq!(home.check().await, 0);
    let all = home.api.get(IMAGES).await;
    assert_eq!((&all["count"], &home.sent().await["count"]), (&json!(1), &json!(0)), "{all}");
    let (mut client, form) = home.form(&data).await;
    client.send(&form).await;
    assert_eq!(client.reply("POST").await.status(), 201, "there is room again");
    assert_eq!(home.go_on(image, &data).await.status(), 200);
    assert_eq!(home.check().await, 2);
    let mut child = home.again(child).await;
    assert_eq!(home.check().await, 2);
    child.kill().unwrap();
    child.wait().unwrap();
}
