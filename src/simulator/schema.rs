//! The messages that an ACS sends, as the schemas of CWMP 1.0 to 1.4 have them: children in order, types, lengths.

use super::config::CpeVersion;
use super::envelope::{SOAP_ENCODING, XML_SCHEMA, XML_SCHEMA_INSTANCE};
use super::xml::Element;
use crate::types::value::XsdType;

/// What an element contains.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A string of at most so many characters.
    Text(usize),
    /// An object path: ends in a dot.
    Object,
    Unsigned,
    Int,
    Boolean,
    /// Any simple type, named by `xsi:type`.
    Value,
    /// A SOAP array of `string` or `base64` (first the element's name and its type's local part).
    Strings(&'static str, usize),
    /// A SOAP array of structures: their type and members, least number.
    Structs(&'static str, &'static [Field], usize),
    /// `Operations` of `ChangeDUState`: repeated, told apart by `xsi:type`.
    Operations,
}

/// One child element.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    shape: Shape,
    required: bool,
}

const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: true }
}

const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: false }
}

/// A message: its name, the version that brought it, its children.
struct Message {
    name: &'static str,
    since: CpeVersion,
    fields: &'static [Field],
}

const PATHS: Shape = Shape::Strings("string", 256);
const KEY: Field = must("CommandKey", Shape::Text(32));
const PARAMETER_KEY: Field = must("ParameterKey", Shape::Text(32));
const VALUES: &[Field] = &[must("Name", Shape::Text(256)), must("Value", Shape::Value)];
const ATTRIBUTES: &[Field] = &[
    must("Name", Shape::Text(256)),
    must("NotificationChange", Shape::Boolean),
    must("Notification", Shape::Int),
    must("AccessListChange", Shape::Boolean),
    must("AccessList", Shape::Strings("string", 64)),
];
const WINDOWS: &[Field] = &[
    must("WindowStart", Shape::Unsigned),
    must("WindowEnd", Shape::Unsigned),
    must("WindowMode", Shape::Text(64)),
    must("UserMessage", Shape::Text(256)),
    must("MaxRetries", Shape::Int),
];
const FILE: [Field; 4] = [
    must("FileType", Shape::Text(64)),
    must("URL", Shape::Text(256)),
    must("Username", Shape::Text(256)),
    must("Password", Shape::Text(256)),
];

const fn first(name: &'static str, fields: &'static [Field]) -> Message {
    Message { name, since: CpeVersion::V1_0, fields }
}

const fn since(since: CpeVersion, name: &'static str, fields: &'static [Field]) -> Message {
    Message { name, since, fields }
}

/// What an ACS may call on a CPE.
const REQUESTS: &[Message] = &[
    first("GetRPCMethods", &[]),
    first(
        "SetParameterValues",
        &[must("ParameterList", Shape::Structs("ParameterValueStruct", VALUES, 0)), PARAMETER_KEY],
    ),
    first("GetParameterValues", &[must("ParameterNames", PATHS)]),
    first("GetParameterNames", &[must("ParameterPath", Shape::Text(256)), must("NextLevel", Shape::Boolean)]),
    first(
        "SetParameterAttributes",
        &[must("ParameterList", Shape::Structs("SetParameterAttributesStruct", ATTRIBUTES, 1))],
    ),
    first("GetParameterAttributes", &[must("ParameterNames", PATHS)]),
    first("AddObject", &[must("ObjectName", Shape::Object), PARAMETER_KEY]),
    first("DeleteObject", &[must("ObjectName", Shape::Object), PARAMETER_KEY]),
    first("Reboot", &[KEY]),
    first(
        "Download",
        &[
            KEY,
            FILE[0],
            FILE[1],
            FILE[2],
            FILE[3],
            must("FileSize", Shape::Unsigned),
            must("TargetFileName", Shape::Text(256)),
            must("DelaySeconds", Shape::Unsigned),
            must("SuccessURL", Shape::Text(256)),
            must("FailureURL", Shape::Text(256)),
        ],
    ),
    first("Upload", &[KEY, FILE[0], FILE[1], FILE[2], FILE[3], must("DelaySeconds", Shape::Unsigned)]),
    first("FactoryReset", &[]),
    first("ScheduleInform", &[must("DelaySeconds", Shape::Unsigned), KEY]),
    first("GetQueuedTransfers", &[]),
    first("SetVouchers", &[must("VoucherList", Shape::Strings("base64", usize::MAX))]),
    first("GetOptions", &[must("OptionName", Shape::Text(64))]),
    since(CpeVersion::V1_1, "GetAllQueuedTransfers", &[]),
    since(
        CpeVersion::V1_2,
        "ScheduleDownload",
        &[
            KEY,
            FILE[0],
            FILE[1],
            FILE[2],
            FILE[3],
            must("FileSize", Shape::Unsigned),
            must("TargetFileName", Shape::Text(256)),
            must("TimeWindowList", Shape::Structs("TimeWindowStruct", WINDOWS, 1)),
        ],
    ),
    since(CpeVersion::V1_2, "CancelTransfer", &[KEY]),
    since(
        CpeVersion::V1_2,
        "ChangeDUState",
        &[must("Operations", Shape::Operations), may("CommandKey", Shape::Text(32))],
    ),
];

/// What an ACS answers a CPE's calls with.
const RESPONSES: &[Message] = &[
    first("InformResponse", &[must("MaxEnvelopes", Shape::Unsigned)]),
    first("GetRPCMethodsResponse", &[must("MethodList", Shape::Strings("string", 64))]),
    first("TransferCompleteResponse", &[]),
    first("RequestDownloadResponse", &[]),
    first("KickedResponse", &[must("NextURL", Shape::Text(1024))]),
    since(CpeVersion::V1_1, "AutonomousTransferCompleteResponse", &[]),
    since(CpeVersion::V1_2, "DUStateChangeCompleteResponse", &[]),
    since(CpeVersion::V1_2, "AutonomousDUStateChangeCompleteResponse", &[]),
];

/// The methods that a CPE of this version serves, as `GetRPCMethods` lists them.
pub(super) fn methods(version: CpeVersion) -> impl Iterator<Item = &'static str> {
    REQUESTS.iter().filter(move |message| message.since <= version).map(|message| message.name)
}

/// The static name of a known method, whatever its version.
pub(super) fn known_method(name: &str) -> Option<&'static str> {
    REQUESTS.iter().find(|message| message.name == name).map(|message| message.name)
}

/// Checks the arguments of a request or response. `complain` is told everything that is wrong.
pub(super) fn check(message: &Element<'_>, complain: &mut dyn FnMut(String)) {
    let definition = REQUESTS.iter().chain(RESPONSES).find(|definition| definition.name == message.local);
    match definition {
        Some(definition) => check_fields(message, definition.fields, complain),
        None => complain(format!("<{}> is in no schema", message.local)),
    }
}

fn check_fields(parent: &Element<'_>, fields: &[Field], complain: &mut dyn FnMut(String)) {
    if !parent.text.trim().is_empty() {
        complain(format!("text inside <{}>", parent.local));
    }
    let mut children = parent.children.iter().peekable();
    for field in fields {
        let mut seen = 0_usize;
        while let Some(child) = children.next_if(|child| child.local == field.name) {
            seen += 1;
            if !child.namespace.is_empty() {
                complain(format!("<{}> in <{}> must not be qualified", child.local, parent.local));
            }
            check_shape(child, field.shape, complain);
        }
        if seen == 0 && field.required {
            complain(format!("<{}> lacks <{}>, or it is out of order", parent.local, field.name));
        }
        if seen > 1 && !matches!(field.shape, Shape::Operations) {
            complain(format!("<{}> stands {seen} times in <{}>", field.name, parent.local));
        }
    }
    for extra in children {
        complain(format!("<{}> does not belong there in <{}>", extra.local, parent.local));
    }
}

fn check_shape(element: &Element<'_>, shape: Shape, complain: &mut dyn FnMut(String)) {
    let name = element.local;
    let text = &*element.text;
    let simple = !matches!(shape, Shape::Strings(..) | Shape::Structs(..) | Shape::Operations);
    if simple && !element.children.is_empty() {
        complain(format!("<{name}> has children"));
    }
    if simple && element.self_closed {
        complain(format!("<{name}/> must be written <{name}></{name}>"));
    }
    match shape {
        Shape::Text(max) => {
            if text.chars().count() > max {
                complain(format!("<{name}> is longer than {max} characters"));
            }
        }
        Shape::Object => {
            if !text.ends_with('.') || text.chars().count() > 256 {
                complain(format!("<{name}> is no object path: {text:?}"));
            }
        }
        Shape::Unsigned => number(name, text, XsdType::UnsignedInt, complain),
        Shape::Int => number(name, text, XsdType::Int, complain),
        Shape::Boolean => {
            // `true` and `false` are legal, but drop the session of some CPEs (cwmp.md §7.1, 57).
            if !matches!(text, "0" | "1") {
                complain(format!("<{name}> must be 1 or 0, not {text:?}"));
            }
        }
        Shape::Value => check_value(element, complain),
        Shape::Strings(item, max) => check_strings(element, item, max, complain),
        Shape::Structs(item, fields, least) => {
            check_array(element, item, "cwmp", complain);
            if element.children.len() < least {
                complain(format!("<{name}> is empty"));
            }
            for child in &element.children {
                check_fields(child, fields, complain);
            }
        }
        Shape::Operations => check_operation(element, complain),
    }
}

fn number(name: &str, text: &str, ty: XsdType, complain: &mut dyn FnMut(String)) {
    if text.trim() != text || ty.check(text).is_err() {
        complain(format!("<{name}> is no {}: {text:?}", ty.local_name()));
    }
}

fn check_value(element: &Element<'_>, complain: &mut dyn FnMut(String)) {
    let Some(ty) = element.attribute(XML_SCHEMA_INSTANCE, "type") else {
        complain("<Value> lacks xsi:type".to_owned());
        return;
    };
    let Some((prefix, local)) = ty.split_once(':') else {
        complain(format!("xsi:type {ty:?} has no prefix"));
        return;
    };
    let Some(known) = XsdType::ALL.into_iter().find(|known| known.local_name() == local) else {
        complain(format!("xsi:type {ty:?} is unknown"));
        return;
    };
    if prefix != "xsd" {
        complain(format!("xsi:type {ty:?} should have the prefix xsd"));
    }
    if known.check(&element.text).is_err() {
        complain(format!("<Value> is no {ty}"));
    }
}

fn check_strings(element: &Element<'_>, item: &str, max: usize, complain: &mut dyn FnMut(String)) {
    check_array(element, item, if item == "base64" { "SOAP-ENC" } else { "xsd" }, complain);
    for child in &element.children {
        if child.text.chars().count() > max {
            complain(format!("<{item}> is longer than {max} characters"));
        }
    }
}

fn check_array(element: &Element<'_>, item: &str, kind: &str, complain: &mut dyn FnMut(String)) {
    let name = element.local;
    let count = element.children.len();
    match element.attribute(SOAP_ENCODING, "arrayType") {
        None => complain(format!("<{name}> lacks arrayType")),
        Some(ty) => {
            let (item_type, rest) = ty.split_once('[').unwrap_or((ty, ""));
            let (prefix, local) = item_type.split_once(':').unwrap_or(("", item_type));
            if local != item || (kind != "SOAP-ENC" && prefix != kind) {
                complain(format!("arrayType {ty:?} of <{name}> should name {kind}:{item}"));
            }
            if rest.strip_suffix(']').and_then(|n| n.parse().ok()) != Some(count) {
                complain(format!("arrayType {ty:?} of <{name}> disagrees with its {count} members"));
            }
        }
    }
    for child in &element.children {
        if child.local != item || !child.namespace.is_empty() {
            complain(format!("<{name}> holds <{}> where <{item}> belongs", child.local));
        }
    }
}

fn check_operation(element: &Element<'_>, complain: &mut dyn FnMut(String)) {
    const INSTALL: &[Field] = &[
        must("URL", Shape::Text(1024)),
        may("UUID", Shape::Text(36)),
        may("Username", Shape::Text(256)),
        may("Password", Shape::Text(256)),
        may("ExecutionEnvRef", Shape::Text(256)),
    ];
    const UPDATE: &[Field] = &[
        may("UUID", Shape::Text(36)),
        may("Version", Shape::Text(32)),
        may("URL", Shape::Text(1024)),
        may("Username", Shape::Text(256)),
        may("Password", Shape::Text(256)),
    ];
    const UNINSTALL: &[Field] =
        &[must("UUID", Shape::Text(36)), may("Version", Shape::Text(32)), may("ExecutionEnvRef", Shape::Text(256))];
    match element.attribute(XML_SCHEMA_INSTANCE, "type") {
        Some("cwmp:InstallOpStruct") => check_fields(element, INSTALL, complain),
        Some("cwmp:UpdateOpStruct") => check_fields(element, UPDATE, complain),
        Some("cwmp:UninstallOpStruct") => check_fields(element, UNINSTALL, complain),
        other => complain(format!("<Operations> has the xsi:type {other:?} ({XML_SCHEMA} knows none such)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::xml;

    fn complaints(inner: &str) -> Vec<String> {
        let text = format!(
            "<r xmlns:SOAP-ENC='{SOAP_ENCODING}' xmlns:xsi='{XML_SCHEMA_INSTANCE}' xmlns:cwmp='urn:c'>{inner}</r>"
        );
        let document = xml::parse(&text).expect("well-formed");
        let mut found = Vec::new();
        check(document.root.children.first().expect("a message"), &mut |text| found.push(text));
        found
    }

    #[test]
    fn a_right_message_passes() {
        let table = [
            "<cwmp:Reboot><CommandKey>k</CommandKey></cwmp:Reboot>",
            "<cwmp:GetParameterValues><ParameterNames SOAP-ENC:arrayType=\"xsd:string[1]\"><string>Device.</string>\
             </ParameterNames></cwmp:GetParameterValues>",
            "<cwmp:SetParameterValues><ParameterList SOAP-ENC:arrayType=\"cwmp:ParameterValueStruct[1]\">\
             <ParameterValueStruct><Name>Device.X</Name><Value xsi:type=\"xsd:int\">1</Value></ParameterValueStruct>\
             </ParameterList><ParameterKey></ParameterKey></cwmp:SetParameterValues>",
            "<cwmp:ChangeDUState><Operations xsi:type=\"cwmp:UninstallOpStruct\"><UUID>x</UUID></Operations>\
             <CommandKey>k</CommandKey></cwmp:ChangeDUState>",
        ];
        for message in table {
            assert_eq!(complaints(message), Vec::<String>::new(), "{message}");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        let table = [
            ("<cwmp:Reboot/>", "lacks <CommandKey>"),
            ("<cwmp:Reboot><CommandKey/></cwmp:Reboot>", "must be written"),
            ("<cwmp:Reboot><cwmp:CommandKey>k</cwmp:CommandKey></cwmp:Reboot>", "must not be qualified"),
            (
                "<cwmp:ScheduleInform><CommandKey>k</CommandKey><DelaySeconds>1</DelaySeconds></cwmp:ScheduleInform>",
                "lacks <DelaySeconds>, or it is out of order",
            ),
            (
                "<cwmp:GetParameterNames><ParameterPath>Device.</ParameterPath><NextLevel>true</NextLevel>\
                 </cwmp:GetParameterNames>",
                "must be 1 or 0",
            ),
            (
                "<cwmp:GetParameterValues><ParameterNames SOAP-ENC:arrayType=\"xsd:string[2]\"><string>a</string>\
                 </ParameterNames></cwmp:GetParameterValues>",
                "disagrees with its 1 members",
            ),
            (
                "<cwmp:AddObject><ObjectName>Device.X</ObjectName><ParameterKey></ParameterKey></cwmp:AddObject>",
                "no object path",
            ),
            ("<cwmp:Sing></cwmp:Sing>", "in no schema"),
        ];
        for (message, want) in table {
            let found = complaints(message);
            assert!(found.iter().any(|text| text.contains(want)), "{message}: {found:?}");
        }
    }
}
