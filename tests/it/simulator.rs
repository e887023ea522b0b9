//! The simulated CPE against a scripted ACS that shares no codec with it, nor with the server.

mod acs;
mod diagnostics;
mod transfers;

use std::sync::Arc;
use std::time::Duration;

use acsd::simulator::{
    AcsCall, Autonomy, ConnectionRequests, CpeConfig, CpeHandle, CpeVersion, DataModel, FaultPath, Fleet, FleetConfig,
    FleetModel, Misbehaviour, Outcome, Rule, SessionFailure, SessionReport, TlsTrust, spawn,
};
use acsd::types::event::EventCode;
use tokio::sync::broadcast;

use acs::{OnInform, ScriptedAcs, envelope};

/// Longer than anything here takes: reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

fn config(acs: &ScriptedAcs) -> CpeConfig {
    let mut config = CpeConfig::new(acs.url());
    config.autonomy = Autonomy::OnDemand;
    config.time_scale = 0.001;
    config.response_timeout = Duration::from_secs(10);
    config
}

async fn cpe(acs: &ScriptedAcs) -> CpeHandle {
    spawn(config(acs)).await.unwrap()
}

async fn session(cpe: &CpeHandle) -> Arc<SessionReport> {
    tokio::time::timeout(DEADLINE, cpe.session(&[])).await.expect("in time").expect("running")
}

async fn next(reports: &mut broadcast::Receiver<Arc<SessionReport>>) -> Arc<SessionReport> {
    tokio::time::timeout(DEADLINE, reports.recv()).await.expect("in time").expect("running")
}

fn assert_clean(report: &Arc<SessionReport>) {
    assert_eq!((&report.outcome, &report.violations[..]), (&Outcome::Completed, &[][..]));
}

fn get(paths: &[&str]) -> String {
    let items: String = paths.iter().map(|path| format!("<string>{path}</string>")).collect();
    format!(
        "<cwmp:GetParameterValues><ParameterNames SOAP-ENC:arrayType=\"xsd:string[{}]\">{items}</ParameterNames>\
         </cwmp:GetParameterValues>",
        paths.len()
    )
}

fn set(values: &[(&str, &str, &str)], key: &str) -> String {
    let items: String = values
        .iter()
        .map(|(path, ty, value)| {
            format!(
                "<ParameterValueStruct><Name>{path}</Name><Value xsi:type=\"xsd:{ty}\">{value}</Value>\
                 </ParameterValueStruct>"
            )
        })
        .collect();
    format!(
        "<cwmp:SetParameterValues><ParameterList SOAP-ENC:arrayType=\"cwmp:ParameterValueStruct[{}]\">{items}\
         </ParameterList><ParameterKey>{key}</ParameterKey></cwmp:SetParameterValues>",
        values.len()
    )
}

fn names(path: &str, next_level: u8) -> String {
    format!(
        "<cwmp:GetParameterNames><ParameterPath>{path}</ParameterPath><NextLevel>{next_level}</NextLevel>\
         </cwmp:GetParameterNames>"
    )
}

fn object(method: &str, path: &str, key: &str) -> String {
    format!("<cwmp:{method}><ObjectName>{path}</ObjectName><ParameterKey>{key}</ParameterKey></cwmp:{method}>")
}

fn keyed(method: &str, key: &str) -> String {
    format!("<cwmp:{method}><CommandKey>{key}</CommandKey></cwmp:{method}>")
}

fn download(key: &str, file_type: &str, url: &str, size: usize) -> String {
    format!(
        "<cwmp:Download><CommandKey>{key}</CommandKey><FileType>{file_type}</FileType><URL>{url}</URL>\
         <Username></Username><Password></Password><FileSize>{size}</FileSize><TargetFileName></TargetFileName>\
         <DelaySeconds>0</DelaySeconds><SuccessURL></SuccessURL><FailureURL></FailureURL></cwmp:Download>"
    )
}

#[tokio::test]
async fn a_whole_session_from_bootstrap_to_204() {
    let acs = ScriptedAcs::start().await;
    for (model, root) in [(DataModel::tr181(), "Device."), (DataModel::tr098(), "InternetGatewayDevice.")] {
        let mut config = config(&acs).serial("SN \"1\" & co");
        config.data_model = model;
        let cpe = spawn(config).await.unwrap();
        acs.ask([get(&[&format!("{root}DeviceInfo.SerialNumber")]), names("", 1), names(root, 0)]);
        let report = session(&cpe).await;
        assert_clean(&report);
        assert!(report.has_event(EventCode::Bootstrap) && report.has_event(EventCode::Boot));
        assert_eq!(report.methods(), ["GetParameterValues", "GetParameterNames", "GetParameterNames"]);
        assert_eq!((report.connections, report.informs), (1, 1));
        let bodies = acs.bodies();
        assert!(bodies[0].contains("<SerialNumber>SN &quot;1&quot; &amp; co</SerialNumber>"), "{}", bodies[0]);
        assert!(bodies[0].contains("<EventCode>0 BOOTSTRAP</EventCode>"));
        assert!(bodies[0].contains(&format!("<Name>{root}ManagementServer.ParameterKey</Name>")));
        assert!(bodies[0].contains("SupportedCWMPVersions"));
        assert!(bodies[1].contains(">SN &quot;1&quot; &amp; co</Value>"), "{}", bodies[1]);
        assert!(bodies[2].contains(&format!("<Name>{root}</Name>")));
        let listed = bodies[3].matches("<ParameterInfoStruct>").count();
        assert!(listed > 300 && bodies[3].contains(&format!("ParameterInfoStruct[{listed}]")), "{listed}");
        let again = session(&cpe).await;
        assert_eq!(again.events.iter().map(|e| e.code).collect::<Vec<_>>(), [EventCode::Periodic]);
        acs.heard();
    }
}

#[tokio::test]
async fn the_version_shows_in_namespace_and_headers() {
    let acs = ScriptedAcs::start().await;
    for (version, namespace, timeout, versions) in [
        (CpeVersion::V1_0, "urn:dslforum-org:cwmp-1-0", false, false),
        (CpeVersion::V1_1, "urn:dslforum-org:cwmp-1-1", false, false),
        (CpeVersion::V1_2, "urn:dslforum-org:cwmp-1-2", false, false),
        (CpeVersion::V1_3, "urn:dslforum-org:cwmp-1-2", true, false),
        (CpeVersion::V1_4, "urn:dslforum-org:cwmp-1-2", true, true),
    ] {
        acs.speak(namespace);
        let mut config = config(&acs);
        config.version = version;
        let cpe = spawn(config).await.unwrap();
        acs.ask([keyed("CancelTransfer", "none")]);
        let report = session(&cpe).await;
        assert_clean(&report);
        // CancelTransfer came with 1.2.
        assert_eq!(report.rpcs[0].fault, (version < CpeVersion::V1_2).then_some(9000), "{version}");
        let inform = &acs.bodies()[0];
        assert!(inform.contains(namespace));
        assert_eq!(inform.contains("SessionTimeout"), timeout, "{version}");
        assert_eq!(inform.contains("SupportedCWMPVersions"), versions, "{version}");
    }
    acs.on_inform([OnInform::Headers("<cwmp:UseCWMPVersion SOAP-ENV:mustUnderstand=\"1\">1.3</cwmp:UseCWMPVersion>")]);
    let report = session(&cpe(&acs).await).await;
    assert_clean(&report);
    assert_eq!(report.chosen_version.as_deref(), Some("1.3"));
}

#[tokio::test]
async fn digest_and_basic_are_answered_and_new_credentials_count_from_the_next_session() {
    let acs = ScriptedAcs::start().await;
    acs.require("user", "first");
    let cpe = spawn(config(&acs).credentials("user", "first")).await.unwrap();
    acs.ask([set(&[("Device.ManagementServer.Password", "string", "second")], "k1")]);
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!((report.challenges, report.posts), (1, 4));
    assert_eq!(cpe.value("Device.ManagementServer.ParameterKey").as_deref(), Some("k1"));

    acs.require("user", "second");
    assert_clean(&session(&cpe).await);
    acs.require_basic("user", "second");
    assert_clean(&session(&cpe).await);
    acs.require("user", "third");
    assert_eq!(session(&cpe).await.outcome, Outcome::Failed(SessionFailure::Unauthorized));

    let stranger = spawn(config(&acs)).await.unwrap();
    let report = session(&stranger).await;
    assert_eq!(report.outcome, Outcome::Failed(SessionFailure::Unauthorized));
    assert_eq!(report.posts, 1);
}

#[tokio::test]
async fn values_are_set_all_or_not_at_all_with_a_fault_for_each() {
    let acs = ScriptedAcs::start().await;
    let cpe = cpe(&acs).await;
    acs.ask([
        set(
            &[
                ("Device.Firewall.Config", "string", "Low"),
                ("Device.Nowhere.X", "string", "x"),
                ("Device.Firewall.Enable", "string", "1"),
                ("Device.WiFi.Radio.1.Channel", "unsignedInt", "999"),
                ("Device.DeviceInfo.UpTime", "unsignedInt", "1"),
            ],
            "bad",
        ),
        set(&[("Device.Firewall.Config", "string", "Low"), ("Device.Firewall.Config", "string", "Off")], "twice"),
        get(&["Device.Firewall.Config", "Device.Nowhere.X"]),
    ]);
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!(report.rpcs.iter().map(|rpc| rpc.fault).collect::<Vec<_>>(), [Some(9003), Some(9003), Some(9005)]);
    let fault = &acs.bodies()[1];
    for (path, code) in [
        ("Device.Nowhere.X", 9005),
        ("Device.Firewall.Enable", 9006),
        ("Device.WiFi.Radio.1.Channel", 9007),
        ("Device.DeviceInfo.UpTime", 9008),
    ] {
        let want = format!("<ParameterName>{path}</ParameterName><FaultCode>{code}</FaultCode>");
        assert!(fault.contains(&want), "{want} in {fault}");
    }
    assert_eq!(cpe.value("Device.Firewall.Config").as_deref(), Some("High"));
    assert_eq!(cpe.value("Device.ManagementServer.ParameterKey").as_deref(), Some(""));
}

#[tokio::test]
async fn rows_are_added_and_deleted() {
    let acs = ScriptedAcs::start().await;
    let cpe = cpe(&acs).await;
    let table = "Device.NAT.PortMapping.";
    acs.ask([
        object("AddObject", table, "added"),
        object("AddObject", "Device.Hosts.Host.", ""),
        object("DeleteObject", "Device.NAT.PortMapping.1.", "gone"),
        object("DeleteObject", "Device.NAT.PortMapping.1.", "again"),
        get(&["Device.NAT.PortMappingNumberOfEntries"]),
        names(table, 1),
    ]);
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!(
        report.rpcs.iter().map(|rpc| rpc.fault).collect::<Vec<_>>(),
        [None, Some(9005), None, Some(9005), None, None]
    );
    let bodies = acs.bodies();
    assert!(bodies[1].contains("<InstanceNumber>3</InstanceNumber><Status>0</Status>"), "{}", bodies[1]);
    assert!(bodies[5].contains(">2</Value>"), "{}", bodies[5]);
    assert!(bodies[6].contains("<Name>Device.NAT.PortMapping.3.</Name><Writable>1</Writable>"), "{}", bodies[6]);
    assert!(!bodies[6].contains("Device.NAT.PortMapping.1."));
    assert_eq!(cpe.rows(table), [2, 3]);
    assert_eq!(cpe.value("Device.ManagementServer.ParameterKey").as_deref(), Some("gone"));
}

#[tokio::test]
async fn attributes_decide_whether_a_change_is_told() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    let attribute = |path: &str, notification: u8| {
        format!(
            "<cwmp:SetParameterAttributes><ParameterList SOAP-ENC:arrayType=\"cwmp:SetParameterAttributesStruct[1]\">\
             <SetParameterAttributesStruct><Name>{path}</Name><NotificationChange>1</NotificationChange>\
             <Notification>{notification}</Notification><AccessListChange>0</AccessListChange>\
             <AccessList SOAP-ENC:arrayType=\"xsd:string[0]\"></AccessList></SetParameterAttributesStruct>\
             </ParameterList></cwmp:SetParameterAttributes>"
        )
    };
    let get_attributes = "<cwmp:GetParameterAttributes><ParameterNames SOAP-ENC:arrayType=\"xsd:string[1]\">\
                          <string>Device.Firewall.</string></ParameterNames></cwmp:GetParameterAttributes>";
    acs.ask([
        attribute("Device.Firewall.Config", 2),
        attribute("Device.WiFi.SSID.1.SSID", 1),
        attribute("Device.DeviceInfo.UpTime", 2),
        get_attributes.to_owned(),
    ]);
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    let report = next(&mut reports).await;
    assert_clean(&report);
    assert_eq!(report.rpcs.iter().map(|rpc| rpc.fault).collect::<Vec<_>>(), [None, None, Some(9009), None]);
    let bodies = acs.bodies();
    assert!(bodies[4].contains("<Name>Device.Firewall.Config</Name><Notification>2</Notification>"), "{}", bodies[4]);

    // Passive: told with the next session; active: opens it.
    assert!(cpe.change_locally("Device.WiFi.SSID.1.SSID", "guest"));
    assert!(cpe.change_locally("Device.Firewall.Config", "Off"));
    let report = next(&mut reports).await;
    assert_clean(&report);
    assert!(report.has_event(EventCode::ValueChange));
    let inform = &acs.bodies()[0];
    assert!(inform.contains("<Name>Device.Firewall.Config</Name><Value xsi:type=\"xsd:string\">Off</Value>"));
    assert!(inform.contains(">guest</Value>"));
    assert!(!session(&cpe).await.has_event(EventCode::ValueChange));
    cpe.stop().await;
}

#[tokio::test]
async fn it_reboots_and_resets() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    acs.ask([set(&[("Device.Firewall.Config", "string", "Low")], ""), keyed("Reboot", "why &amp; how")]);
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    assert_clean(&next(&mut reports).await);
    acs.ask(["<cwmp:FactoryReset></cwmp:FactoryReset>"]);
    let back = next(&mut reports).await;
    assert_clean(&back);
    let events: Vec<(EventCode, &str)> = back.events.iter().map(|e| (e.code, &*e.command_key)).collect();
    assert_eq!(events, [(EventCode::Boot, ""), (EventCode::MReboot, "why & how")]);

    let reset = next(&mut reports).await;
    assert_clean(&reset);
    let events: Vec<EventCode> = reset.events.iter().map(|event| event.code).collect();
    assert_eq!(events, [EventCode::Bootstrap, EventCode::Boot]);
    assert_eq!(cpe.value("Device.Firewall.Config").as_deref(), Some("High"));
    cpe.stop().await;
}

#[tokio::test]
async fn files_are_fetched_and_sent_and_reported() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    let image = b"Version: 9.9.1\nimage";
    let firmware = acs.file("fw.bin", image);
    let upload = acs.file("config.txt", b"");
    acs.ask([
        download("dl-1", "1 Firmware Upgrade Image", &firmware, image.len()),
        download("dl-2", "3 Vendor Configuration File", &format!("{firmware}.missing"), 0),
        download("dl-3", "3 Vendor Configuration File", "tftp://192.0.2.1/x", 0),
        "<cwmp:GetAllQueuedTransfers></cwmp:GetAllQueuedTransfers>".to_owned(),
        format!(
            "<cwmp:Upload><CommandKey>ul-1</CommandKey><FileType>1 Vendor Configuration File</FileType>\
             <URL>{upload}</URL><Username></Username><Password></Password><DelaySeconds>0</DelaySeconds></cwmp:Upload>"
        ),
    ]);
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    let report = next(&mut reports).await;
    assert_clean(&report);
    assert_eq!(report.rpcs.iter().map(|rpc| rpc.fault).collect::<Vec<_>>(), [None, None, Some(9013), None, None]);
    let mut calls = 0;
    let mut bodies = Vec::new();
    while calls < 3 {
        let report = next(&mut reports).await;
        assert_clean(&report);
        assert!(report.has_event(EventCode::TransferComplete));
        calls += report.called.len();
        bodies.extend(acs.bodies());
    }
    let complete = |key: &str| {
        let want = format!("TransferComplete><CommandKey>{key}</CommandKey>");
        bodies.iter().find(|body| body.contains(&want)).unwrap_or_else(|| panic!("no {key}"))
    };
    assert!(complete("dl-1").contains("<FaultCode>0</FaultCode>"));
    assert!(complete("dl-2").contains("<FaultCode>9016</FaultCode>"));
    assert!(complete("ul-1").contains("<FaultCode>0</FaultCode>"));
    assert!(bodies.iter().any(|body| body.contains("M Download") && body.contains("1 BOOT")));
    assert_eq!(cpe.value("Device.DeviceInfo.SoftwareVersion").as_deref(), Some("9.9.1"));
    assert!(acs.file_contents("config.txt").unwrap().contains("Device.DeviceInfo.SerialNumber=SIM000001"));
    cpe.stop().await;
}

#[tokio::test]
async fn every_other_rpc_is_served() {
    let acs = ScriptedAcs::start().await;
    let cpe = cpe(&acs).await;
    let uuid = "00000000-0000-0000-0000-00000000000a";
    acs.ask([
        "<cwmp:GetRPCMethods></cwmp:GetRPCMethods>".to_owned(),
        "<cwmp:GetQueuedTransfers></cwmp:GetQueuedTransfers>".to_owned(),
        "<cwmp:SetVouchers><VoucherList SOAP-ENC:arrayType=\"SOAP-ENC:base64[1]\"><base64>AAAA</base64></VoucherList>\
         </cwmp:SetVouchers>"
            .to_owned(),
        "<cwmp:GetOptions><OptionName></OptionName></cwmp:GetOptions>".to_owned(),
        "<cwmp:ScheduleInform><DelaySeconds>1</DelaySeconds><CommandKey>later</CommandKey></cwmp:ScheduleInform>"
            .to_owned(),
        format!(
            "<cwmp:ScheduleDownload><CommandKey>sd</CommandKey><FileType>1 Firmware Upgrade Image</FileType>\
             <URL>{}</URL><Username></Username><Password></Password><FileSize>0</FileSize>\
             <TargetFileName></TargetFileName><TimeWindowList SOAP-ENC:arrayType=\"cwmp:TimeWindowStruct[1]\">\
             <TimeWindowStruct><WindowStart>86400000</WindowStart><WindowEnd>90000000</WindowEnd>\
             <WindowMode>1 At Any Time</WindowMode><UserMessage></UserMessage><MaxRetries>0</MaxRetries>\
             </TimeWindowStruct></TimeWindowList></cwmp:ScheduleDownload>",
            acs.file("x", b"x")
        ),
        keyed("CancelTransfer", "sd"),
        format!(
            "<cwmp:ChangeDUState><Operations xsi:type=\"cwmp:InstallOpStruct\"><URL>http://192.0.2.1/du</URL>\
             <UUID>{uuid}</UUID></Operations><Operations xsi:type=\"cwmp:UninstallOpStruct\">\
             <UUID>nonsense</UUID></Operations><CommandKey>du</CommandKey></cwmp:ChangeDUState>"
        ),
        "<cwmp:X_00D09E_Sing></cwmp:X_00D09E_Sing>".to_owned(),
    ]);
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!(report.rpcs.iter().filter_map(|rpc| rpc.fault).collect::<Vec<_>>(), [9000]);
    assert_eq!(report.rpcs.len(), 9);
    assert_eq!(cpe.rows("Device.SoftwareModules.DeploymentUnit."), [1]);
    acs.bodies();

    cpe.call(AcsCall::Kicked(["c", "r", "a", "n"].map(String::from)));
    cpe.call(AcsCall::GetRpcMethods);
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!(report.called, ["DUStateChangeComplete", "Kicked", "GetRPCMethods"]);
    assert!(report.has_event(EventCode::DuStateChangeComplete) && report.has_event(EventCode::Kicked));
    let bodies = acs.bodies();
    assert!(bodies[1].contains("<Results><UUID>") && bodies[1].contains(uuid));
    assert!(bodies[1].contains("<FaultCode>9022</FaultCode>"), "{}", bodies[1]);
}

#[tokio::test]
async fn a_scheduled_inform_and_the_periodic_one_come_by_themselves() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    acs.ask(["<cwmp:ScheduleInform><DelaySeconds>1</DelaySeconds><CommandKey>k</CommandKey></cwmp:ScheduleInform>"]);
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    assert_clean(&next(&mut reports).await);
    acs.ask([set(
        &[
            ("Device.ManagementServer.PeriodicInformInterval", "unsignedInt", "1"),
            ("Device.ManagementServer.PeriodicInformEnable", "boolean", "1"),
        ],
        "",
    )]);
    let scheduled = next(&mut reports).await;
    assert_clean(&scheduled);
    let events: Vec<(EventCode, &str)> = scheduled.events.iter().map(|e| (e.code, &*e.command_key)).collect();
    assert_eq!(events, [(EventCode::Scheduled, ""), (EventCode::MScheduleInform, "k")]);
    for _ in 0..3 {
        let report = next(&mut reports).await;
        assert!(report.is_clean() && report.has_event(EventCode::Periodic));
    }
    cpe.stop().await;
}

#[tokio::test]
async fn failed_sessions_are_retried_and_counted() {
    let acs = ScriptedAcs::start().await;
    acs.on_inform([
        OnInform::Status(503),
        OnInform::Fault(8002),
        OnInform::Raw("<html>busy</html>".into()),
        OnInform::Fault(8005),
        OnInform::Fault(8005),
        OnInform::Accept,
    ]);
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    let outcomes = [SessionFailure::Status(503), SessionFailure::InformFault(8002), SessionFailure::Malformed];
    for (retry, want) in (0..).zip(outcomes) {
        let report = next(&mut reports).await;
        assert_eq!((&report.outcome, report.retry_count), (&Outcome::Failed(want), retry));
    }
    // 8005 is repeated in the session itself.
    let report = next(&mut reports).await;
    assert_clean(&report);
    assert_eq!((report.retry_count, report.informs), (3, 3));
    assert!(report.has_event(EventCode::Bootstrap));
    assert_eq!(session(&cpe).await.retry_count, 0);
    cpe.stop().await;
}

#[tokio::test]
async fn redirects_are_followed_for_the_session() {
    let (first, second) = (ScriptedAcs::start().await, ScriptedAcs::start().await);
    first.on_inform([OnInform::Redirect(second.url())]);
    let cpe = cpe(&first).await;
    assert_clean(&session(&cpe).await);
    assert_eq!((first.heard().len(), second.heard().len()), (1, 2));
    first.on_inform((0..6).map(|_| OnInform::Redirect(first.url())));
    assert_eq!(session(&cpe).await.outcome, Outcome::Failed(SessionFailure::Redirect));
}

#[tokio::test]
async fn requests_can_be_put_on_hold() {
    let acs = ScriptedAcs::start().await;
    acs.on_inform([OnInform::Headers("<cwmp:HoldRequests SOAP-ENV:mustUnderstand=\"1\">1</cwmp:HoldRequests>")]);
    acs.ask([get(&["Device.DeviceInfo."])]);
    let cpe = cpe(&acs).await;
    cpe.call(AcsCall::GetRpcMethods);
    let report = session(&cpe).await;
    assert_clean(&report);
    let order: Vec<&str> = acs
        .heard()
        .iter()
        .map(|heard| {
            ["Inform>", "GetParameterValuesResponse", "GetRPCMethods"]
                .into_iter()
                .find(|word| heard.body.contains(word))
                .unwrap_or("")
        })
        .collect();
    assert_eq!(order, ["Inform>", "", "GetParameterValuesResponse", "GetRPCMethods", ""]);
}

#[tokio::test]
async fn what_the_acs_does_wrong_is_named() {
    let acs = ScriptedAcs::start().await;
    let right = get(&["Device.DeviceInfo.UpTime"]);
    let ns = "urn:dslforum-org:cwmp-1-2";
    let table: Vec<(&str, Rule, String)> = vec![
        ("foreign namespace", Rule::Envelope, envelope("urn:dslforum-org:cwmp-1-0", "1", "", &right)),
        ("another prefix", Rule::Envelope, envelope(ns, "1", "", &right).replace("cwmp:Get", "SOAP-ENC:Get")),
        ("wrong count", Rule::Schema, envelope(ns, "1", "", &right.replace("string[1]", "string[2]"))),
        ("a true boolean", Rule::Schema, envelope(ns, "1", "", &names("Device.", 1).replace(">1<", ">true<"))),
        ("no mustUnderstand", Rule::Header, {
            envelope(ns, "1", "", &right).replace(" SOAP-ENV:mustUnderstand=\"1\"", "")
        }),
        ("a comment", Rule::Xml, envelope(ns, "1", "", "<!-- hello -->")),
        ("a bare ampersand", Rule::Xml, envelope(ns, "1", "", &keyed("Reboot", "a & b"))),
        ("a stray response", Rule::Sequence, {
            envelope(ns, "1", "", "<cwmp:TransferCompleteResponse></cwmp:TransferCompleteResponse>")
        }),
    ];
    for (case, rule, message) in table {
        let cpe = cpe(&acs).await;
        acs.ask_raw(message);
        let report = session(&cpe).await;
        assert!(report.violations.iter().any(|v| v.rule == rule), "{case}: {:?}", report.violations);
    }
    acs.set_no_cookie();
    let report = session(&cpe(&acs).await).await;
    assert_eq!(report.violations.iter().map(|v| v.rule).collect::<Vec<_>>(), [Rule::Cookie]);
}

#[tokio::test]
async fn bad_habits_show_on_the_wire() {
    let acs = ScriptedAcs::start().await;
    acs.require("user", "secret");
    let heard = async |habit: Misbehaviour| {
        let cpe = spawn(config(&acs).credentials("user", "secret").misbehave(habit.clone())).await.unwrap();
        acs.ask([get(&["Device.ManagementServer.Password"]), get(&["Device.DeviceInfo.SerialNumber"])]);
        let report = session(&cpe).await;
        assert_eq!(report.violations, [], "{habit:?}");
        (report, acs.heard())
    };
    let (report, posts) = heard(Misbehaviour::ConnectionPerPost).await;
    assert_eq!(report.outcome, Outcome::Completed);
    let connections: std::collections::BTreeSet<usize> = posts.iter().map(|post| post.connection).collect();
    assert_eq!((connections.len(), report.connections), (4, 4));

    let (report, posts) = heard(Misbehaviour::WrongId).await;
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(posts[3].body.contains(">wrong</cwmp:ID>"), "{}", posts[3].body);
    let (_, posts) = heard(Misbehaviour::MissingId).await;
    assert!(!posts[3].body.contains("cwmp:ID"));
    let (_, posts) = heard(Misbehaviour::SelfClosing).await;
    assert!(posts[3].body.contains("<Value xsi:type=\"xsd:string\"/>"), "{}", posts[3].body);
    let (_, posts) = heard(Misbehaviour::NoTypes).await;
    assert!(posts[3].body.contains("<ParameterList>") && !posts[3].body.contains("xsi:type="));
    let (_, posts) = heard(Misbehaviour::OddPrefixes).await;
    assert!(posts[3].body.contains("<n1:ParameterList"));
    let (_, posts) = heard(Misbehaviour::NoDeclaration).await;
    assert!(posts[1].body.starts_with("<soap-env:Envelope"));
    let (_, posts) = heard(Misbehaviour::NoCookies).await;
    assert!(posts.iter().all(|post| post.headers.get("cookie").is_none()));
    let (_, posts) = heard(Misbehaviour::Gzip).await;
    assert_eq!(posts[1].headers["content-encoding"], "gzip");
    let (_, posts) = heard(Misbehaviour::Chunked).await;
    assert_eq!(posts[1].headers["transfer-encoding"], "chunked");
    let (_, posts) = heard(Misbehaviour::ExpectContinue).await;
    assert_eq!(posts[1].headers["expect"], "100-continue");
    let (report, posts) = heard(Misbehaviour::ChallengeEveryPost).await;
    assert_eq!((report.challenges, posts.len()), (4, 8));
    let (report, _) = heard(Misbehaviour::DuplicateInform).await;
    assert_eq!(report.informs, 2);
    let (_, posts) = heard(Misbehaviour::StaleResponse).await;
    assert!(posts[3].body.contains("RebootResponse"));
    let (report, posts) = heard(Misbehaviour::EmptyAnswer).await;
    assert!(report.outcome == Outcome::Completed && posts[3].body.is_empty());
    let (_, posts) = heard(Misbehaviour::BlankPost).await;
    assert_eq!(posts[2].body, " \r\n");
    let (_, posts) = heard(Misbehaviour::EmptyEnvelope).await;
    assert!(posts[2].body.contains("<soap-env:Body></soap-env:Body>"));
    let (report, _) = heard(Misbehaviour::AnswerLate(Duration::from_millis(20))).await;
    assert!(report.duration >= Duration::from_millis(40));
    let (report, posts) = heard(Misbehaviour::NoEmptyPost).await;
    assert_eq!((&report.outcome, posts.len()), (&Outcome::Abandoned, 2));
}

#[tokio::test]
async fn a_dropped_connection_leaves_the_rpc_executed_or_not() {
    let change = set(&[("Device.Firewall.Config", "string", "Low")], "");
    for (habit, value) in [
        (Misbehaviour::DropBefore { method: "SetParameterValues".into(), nth: 1 }, "High"),
        (Misbehaviour::DropAfter { method: "SetParameterValues".into(), nth: 1 }, "Low"),
    ] {
        let acs = ScriptedAcs::start().await;
        acs.ask([change.clone()]);
        let cpe = spawn(config(&acs).misbehave(habit)).await.unwrap();
        let report = session(&cpe).await;
        assert_eq!((&report.outcome, report.methods()), (&Outcome::Abandoned, vec!["SetParameterValues"]));
        assert_eq!(cpe.value("Device.Firewall.Config").as_deref(), Some(value));
        // The second time it is answered.
        acs.ask([change.clone()]);
        assert_clean(&session(&cpe).await);
        assert_eq!(cpe.value("Device.Firewall.Config").as_deref(), Some("Low"));
    }
}

#[tokio::test]
async fn chosen_paths_fault() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.fault_paths = vec![FaultPath { path: "Device.Firewall.".into(), code: 9002 }];
    let cpe = spawn(config).await.unwrap();
    acs.ask([
        get(&["Device.DeviceInfo.UpTime"]),
        get(&["Device.Firewall.Config"]),
        set(&[("Device.Firewall.Config", "string", "Low")], ""),
    ]);
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!(report.rpcs.iter().map(|rpc| rpc.fault).collect::<Vec<_>>(), [None, Some(9002), Some(9003)]);
    assert!(acs.bodies()[3].contains("<FaultCode>9002</FaultCode>"));
}

/// One GET on a connection of its own: status line and the challenge, if any.
async fn wake(url: &str, authorization: Option<&str>) -> (u16, Option<String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let authorization = authorization.map(|text| format!("Authorization: {text}\r\n")).unwrap_or_default();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
    let challenge = answer.lines().find_map(|line| line.strip_prefix("Www-Authenticate: ")).map(str::to_owned);
    (status, challenge)
}

#[tokio::test]
async fn a_connection_request_wakes_it_after_digest() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    config.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    acs.ask([set(
        &[
            ("Device.ManagementServer.ConnectionRequestUsername", "string", "acs"),
            ("Device.ManagementServer.ConnectionRequestPassword", "string", "wake up"),
        ],
        "",
    )]);
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    assert_clean(&next(&mut reports).await);
    let url = cpe.connection_request_url();
    assert!(acs.bodies()[0].contains(&format!("<Value xsi:type=\"xsd:string\">{url}</Value>")));

    let (status, challenge) = wake(&url, None).await;
    assert_eq!(status, 401);
    let mut prompt = digest_auth::parse(&challenge.expect("a challenge")).unwrap();
    let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap();
    let mut answer = |password: &str| {
        let mut context = digest_auth::AuthContext::new("acs", password, path.as_str());
        context.method = digest_auth::HttpMethod::GET;
        prompt.respond(&context).unwrap().to_header_string()
    };
    assert_eq!(wake(&url, Some(&answer("wrong"))).await.0, 401);
    assert_eq!(wake(&url, Some(&answer("wake up"))).await.0, 200);
    let report = next(&mut reports).await;
    assert_clean(&report);
    let events: Vec<EventCode> = report.events.iter().map(|event| event.code).collect();
    assert_eq!(events, [EventCode::ConnectionRequest]);
    assert_eq!(wake(&format!("{url}x"), None).await.0, 404);
    cpe.stop().await;
}

#[tokio::test]
async fn connection_requests_are_throttled() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    config.connection_request_gap = Duration::from_secs(1_000_000);
    let cpe = spawn(config.misbehave(Misbehaviour::NoContentOnConnectionRequest)).await.unwrap();
    let url = cpe.connection_request_url();
    assert_eq!(wake(&url, None).await.0, 204);
    assert_eq!(wake(&url, None).await.0, 503);
    assert!(session(&cpe).await.has_event(EventCode::ConnectionRequest));
}

#[tokio::test]
async fn tls_is_checked_unless_told_not_to() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acs = ScriptedAcs::start_tls(Arc::new(server)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();

    let outcome = async |trust: TlsTrust| {
        let mut config = config(&acs);
        config.tls = trust;
        session(&spawn(config).await.unwrap()).await.outcome.clone()
    };
    assert_eq!(outcome(TlsTrust::authority(&file).unwrap()).await, Outcome::Completed);
    assert_eq!(outcome(TlsTrust::anybody().unwrap()).await, Outcome::Completed);
    let nobody = rustls::RootCertStore::empty();
    assert_eq!(outcome(TlsTrust::roots(nobody).unwrap()).await, Outcome::Failed(SessionFailure::Tls));
    assert_eq!(outcome(TlsTrust::default()).await, Outcome::Failed(SessionFailure::Tls));
}

#[tokio::test]
async fn it_stops_while_it_waits_for_its_turn() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.session_permits = Some(Arc::new(tokio::sync::Semaphore::new(0)));
    let cpe = spawn(config).await.unwrap();
    tokio::time::timeout(DEADLINE, cpe.stop()).await.expect("stopped in time");
    assert_eq!(acs.heard().len(), 0);
}

#[tokio::test]
async fn the_acs_s_messages_are_kept_when_asked_for() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.keep_messages = true;
    let cpe = spawn(config).await.unwrap();
    acs.ask([get(&["Device.DeviceInfo.UpTime"])]);
    let report = session(&cpe).await;
    assert_eq!(report.messages.len(), 2);
    assert!(report.messages[0].contains("InformResponse") && report.messages[1].contains("GetParameterValues"));
}

#[tokio::test]
async fn a_fleet_counts_what_it_does() {
    let acs = ScriptedAcs::start().await;
    let mut cpe = config(&acs);
    cpe.autonomy = Autonomy::OnDemand;
    let fleet = Fleet::start(FleetConfig {
        cpe,
        count: 40,
        serial_prefix: "FLEET".into(),
        model: FleetModel::Mixed,
        ramp: Duration::ZERO,
        concurrency: Some(8),
        connection_request_listen: Some("127.0.0.1:0".parse().unwrap()),
    })
    .await
    .unwrap();
    let sessions = fleet.cpes().iter().map(|cpe| cpe.session(&[EventCode::Periodic]));
    for handle in fleet.cpes() {
        assert!(handle.connection_request_url().starts_with("http://127.0.0.1:"));
    }
    for session in sessions {
        assert!(session.await.unwrap().is_clean());
    }
    let summary = fleet.stop().await;
    assert_eq!((summary.sessions_completed, summary.sessions_failed, summary.violations), (40, 0, 0));
    assert!(summary.is_clean() && summary.session_p99_ms >= summary.session_p50_ms);
    let serials: std::collections::BTreeSet<String> = acs
        .bodies()
        .iter()
        .filter_map(|body| Some(body.split_once("<SerialNumber>")?.1.split_once('<')?.0.to_owned()))
        .collect();
    assert_eq!(serials.len(), 40);
    assert!(serials.contains("FLEET000001") && serials.contains("FLEET000040"));
}
