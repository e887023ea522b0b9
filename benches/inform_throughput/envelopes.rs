//! What CPEs say, byte by byte, and what an ACS answers to it.

use std::time::Duration;

use acsd::cwmp::codec::{self, Limits};
use acsd::cwmp::emission::EmissionFlags;
use acsd::cwmp::message::acs::GetParameterValues;
use acsd::cwmp::message::{Body, Header, Method, Request, Response};
use acsd::cwmp::session::{Incoming, Session, SessionLimits};
use acsd::types::time::Timestamp;

/// What a `get` reads.
pub const READ: [&str; 3] =
    ["Device.DeviceInfo.SoftwareVersion", "Device.DeviceInfo.UpTime", "Device.ManagementServer.PeriodicInformInterval"];

const OPEN: &str = "<soap-env:Envelope xmlns:soap-env=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:soap-enc=\"http://schemas.xmlsoap.org/soap/encoding/\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:cwmp=\"urn:dslforum-org:cwmp-1-0\">\n";

/// The parameters of an Inform: those that TR-181 forces, and a few that vendors add.
const REPORTED: [(&str, &str, &str); 10] = [
    ("Device.DeviceInfo.HardwareVersion", "xsd:string", "HW-2.1"),
    ("Device.DeviceInfo.SoftwareVersion", "xsd:string", "4.2.17-build-20240115"),
    ("Device.DeviceInfo.ProvisioningCode", "xsd:string", "TLCO.GRP2"),
    ("Device.DeviceInfo.UpTime", "xsd:unsignedInt", "864213"),
    ("Device.RootDataModelVersion", "xsd:string", "2.15"),
    ("Device.ManagementServer.ConnectionRequestURL", "xsd:string", "http://192.0.2.17:7547/0b6c3c5e"),
    ("Device.ManagementServer.ParameterKey", "xsd:string", ""),
    ("Device.ManagementServer.AliasBasedAddressing", "xsd:boolean", "false"),
    ("Device.IP.Interface.1.IPv4Address.1.IPAddress", "xsd:string", "192.0.2.17"),
    ("Device.DeviceInfo.MemoryStatus.Free", "xsd:unsignedInt", "48120"),
];

/// The serial number of a device.
pub fn serial(device: usize) -> String {
    format!("BENCH-{device:06}")
}

/// The body of an Inform.
pub fn inform(device: usize, events: &[&str]) -> String {
    let mut list = String::new();
    for event in events {
        for part in ["<EventStruct>\n<EventCode>", event, "</EventCode>\n<CommandKey></CommandKey>\n</EventStruct>\n"] {
            list.push_str(part);
        }
    }
    let mut parameters = String::new();
    for (name, ty, value) in REPORTED {
        parameters.push_str(&value_struct(name, ty, value));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{OPEN}<soap-env:Header>\n\
        <cwmp:ID soap-env:mustUnderstand=\"1\">100</cwmp:ID>\n</soap-env:Header>\n<soap-env:Body>\n<cwmp:Inform>\n\
        <DeviceId>\n<Manufacturer>Example</Manufacturer>\n<OUI>00D09E</OUI>\n<ProductClass>Bench</ProductClass>\n\
        <SerialNumber>{}</SerialNumber>\n</DeviceId>\n\
        <Event soap-enc:arrayType=\"cwmp:EventStruct[{}]\">\n{list}</Event>\n<MaxEnvelopes>1</MaxEnvelopes>\n\
        <CurrentTime>2024-06-01T12:00:00Z</CurrentTime>\n<RetryCount>0</RetryCount>\n\
        <ParameterList soap-enc:arrayType=\"cwmp:ParameterValueStruct[{}]\">\n{parameters}</ParameterList>\n\
        </cwmp:Inform>\n</soap-env:Body>\n</soap-env:Envelope>\n",
        serial(device),
        events.len(),
        REPORTED.len(),
    )
}

fn value_struct(name: &str, ty: &str, value: &str) -> String {
    format!(
        "<ParameterValueStruct>\n<Name>{name}</Name>\n<Value xsi:type=\"{ty}\">{value}</Value>\n</ParameterValueStruct>\n"
    )
}

/// What a CPE has below `ManagementServer.`, as far as acsd asks for it.
const SETTINGS: [&str; 6] = [
    "Username",
    "Password",
    "ConnectionRequestUsername",
    "ConnectionRequestPassword",
    "PeriodicInformEnable",
    "PeriodicInformInterval",
];

/// The answer of a CPE to a call with this ID; `None`: a call that the bench knows nothing of.
pub fn answer(call: &str, id: &str) -> Option<String> {
    let body = if call.contains("GetParameterValues>") {
        let mut values = String::new();
        for name in READ {
            // The same that an Inform says of it, if that does.
            let (ty, value) = REPORTED
                .iter()
                .find_map(|(reported, ty, value)| (*reported == name).then_some((*ty, *value)))
                .unwrap_or(("xsd:unsignedInt", "3600"));
            values.push_str(&value_struct(name, ty, value));
        }
        format!(
            "<cwmp:GetParameterValuesResponse><ParameterList soap-enc:arrayType=\"cwmp:ParameterValueStruct[{}]\">\n\
            {values}</ParameterList></cwmp:GetParameterValuesResponse>",
            READ.len()
        )
    } else if call.contains("SetParameterValues>") {
        "<cwmp:SetParameterValuesResponse><Status>0</Status></cwmp:SetParameterValuesResponse>".to_owned()
    } else if call.contains("GetParameterNames>") {
        let path = between(call, "<ParameterPath>", "</ParameterPath>")?;
        let mut infos = String::new();
        for leaf in SETTINGS {
            for part in
                ["<ParameterInfoStruct><Name>", path, leaf, "</Name><Writable>1</Writable></ParameterInfoStruct>\n"]
            {
                infos.push_str(part);
            }
        }
        format!(
            "<cwmp:GetParameterNamesResponse><ParameterList soap-enc:arrayType=\"cwmp:ParameterInfoStruct[{}]\">\n\
            {infos}</ParameterList></cwmp:GetParameterNamesResponse>",
            SETTINGS.len()
        )
    } else {
        return None;
    };
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{OPEN}<soap-env:Header>\n\
        <cwmp:ID soap-env:mustUnderstand=\"1\">{id}</cwmp:ID>\n</soap-env:Header>\n<soap-env:Body>\n{body}\n\
        </soap-env:Body>\n</soap-env:Envelope>\n"
    ))
}

/// What stands between two pieces of text.
pub fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let from = text.find(before)? + before.len();
    let rest = text.get(from..)?;
    rest.get(..rest.find(after)?)
}

/// The envelopes that acsd sends in a session of such an Inform: its response, and the call of a `get`.
pub fn of_the_acs() -> (Vec<u8>, Vec<u8>) {
    let text = inform(0, &["2 PERIODIC"]);
    let envelope = codec::decode(&text, &Limits::default()).expect("the bench's Inform is one");
    let Body::Request(Request::Inform(inform)) = &envelope.body else { panic!("the bench's Inform is one") };
    let now = Timestamp::from_secs(1);
    let mut session = Session::new(now, 0x1234_5678, SessionLimits::default());
    let header = session.open(now, &envelope, inform, EmissionFlags::default()).expect("a version that we know");
    let mut response = Vec::new();
    codec::encode(&header, &Body::Response(Response::Inform), &session.emission(), &mut response);
    session.on_post(now + Duration::from_millis(1), Incoming::Empty);
    let id = session.call(Method::GetParameterValues);
    let names = READ.iter().map(|name| (*name).into()).collect();
    let header = Header { id: Some(id.into()), ..Header::default() };
    let body = Body::Request(Request::GetParameterValues(GetParameterValues { names }));
    let mut call = Vec::new();
    codec::encode(&header, &body, &session.emission(), &mut call);
    (response, call)
}
