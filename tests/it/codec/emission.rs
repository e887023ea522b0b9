//! What is sent, letter by letter: fragile agents compare it literally.

use acsd::cwmp::codec::encode;
use acsd::cwmp::emission::{Declaration, Emission, SoapPrefix};
use acsd::cwmp::fault::{AcsFault, CpeFaultCode};
use acsd::cwmp::message::acs::{
    AddObject, DeleteObject, GetParameterNames, GetParameterValues, SetParameterAttributes,
    SetParameterAttributesStruct, SetParameterValues,
};
use acsd::cwmp::message::inform::ParameterValueStruct;
use acsd::cwmp::message::{Body, Fault, Header, ParameterFault, Request, Response};
use acsd::cwmp::version::{CwmpVersion, Namespace};
use acsd::types::value::XsdType;

use super::{schema, write};

/// The content of the body, by the default profile. Whatever is written here has to be valid as well.
fn body(body: &Body<'_>) -> String {
    let text = write(&Header::default(), body, &Emission::default());
    schema::assert_valid(text.as_bytes(), CwmpVersion::V1_0);
    let (_, content) = text.split_once("<SOAP-ENV:Body>").unwrap();
    content.strip_suffix("</SOAP-ENV:Body></SOAP-ENV:Envelope>").unwrap().to_owned()
}

fn set(value: &str, ty: XsdType) -> Body<'_> {
    let parameters = vec![ParameterValueStruct::new("Device.X", value, ty)];
    Body::Request(Request::SetParameterValues(SetParameterValues { parameters, parameter_key: "".into() }))
}

#[test]
fn an_inform_response_in_full() {
    let header = Header { id: Some("a&b".into()), ..Header::default() };
    let emission =
        Emission { declaration: Declaration::WithEncoding, namespace: Namespace::Cwmp1_2, ..Emission::default() };
    let text = write(&header, &Body::Response(Response::Inform), &emission);
    schema::assert_valid(text.as_bytes(), CwmpVersion::V1_2);
    assert_eq!(
        text,
        r#"<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cwmp="urn:dslforum-org:cwmp-1-2"><SOAP-ENV:Header><cwmp:ID SOAP-ENV:mustUnderstand="1">a&amp;b</cwmp:ID></SOAP-ENV:Header><SOAP-ENV:Body><cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>"#
    );
}

#[test]
fn the_version_is_negotiated_in_the_header() {
    let header = Header { id: Some("1".into()), use_version: Some(CwmpVersion::V1_4), ..Header::default() };
    let emission = super::emission(CwmpVersion::V1_4);
    let text = write(&header, &Body::Response(Response::Inform), &emission);
    schema::assert_valid(text.as_bytes(), CwmpVersion::V1_4);
    assert!(text.contains(r#"<cwmp:UseCWMPVersion SOAP-ENV:mustUnderstand="1">1.4</cwmp:UseCWMPVersion>"#), "{text}");
}

#[test]
fn the_profile_decides_the_shape() {
    let write = |emission: Emission| {
        let text = write(&Header { id: Some("1".into()), ..Header::default() }, &Body::Empty, &emission);
        schema::assert_valid(text.as_bytes(), CwmpVersion::V1_0);
        text
    };
    let plain = Emission::default();
    assert!(write(plain).starts_with("<SOAP-ENV:Envelope "));
    assert!(
        write(Emission { declaration: Declaration::Plain, ..plain })
            .starts_with("<?xml version=\"1.0\"?><SOAP-ENV:Envelope ")
    );
    for (soap_prefix, env, enc) in
        [(SoapPrefix::Lower, "soap-env", "soap-enc"), (SoapPrefix::Plain, "soapenv", "soapenc")]
    {
        let text = write(Emission { soap_prefix, ..plain });
        for part in [
            format!("<{env}:Envelope xmlns:{env}="),
            format!(" xmlns:{enc}="),
            format!("<cwmp:ID {env}:mustUnderstand=\"1\">"),
            format!("</{env}:Body></{env}:Envelope>"),
        ] {
            assert!(text.contains(&part), "{part} in {text}");
        }
        assert!(!text.contains("SOAP-"), "{text}");
    }
    let styled = write(Emission { encoding_style: true, ..plain });
    assert!(
        styled.contains(r#"<SOAP-ENV:Body SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">"#),
        "{styled}"
    );
}

#[test]
fn arguments_are_unqualified_and_never_self_closed() {
    assert_eq!(
        body(&set("", XsdType::String)),
        r#"<cwmp:SetParameterValues><ParameterList SOAP-ENC:arrayType="cwmp:ParameterValueStruct[1]"><ParameterValueStruct><Name>Device.X</Name><Value xsi:type="xsd:string"></Value></ParameterValueStruct></ParameterList><ParameterKey></ParameterKey></cwmp:SetParameterValues>"#
    );
    let names = vec!["Device.A".into(), "Device.B.".into()];
    assert_eq!(
        body(&Body::Request(Request::GetParameterValues(GetParameterValues { names }))),
        r#"<cwmp:GetParameterValues><ParameterNames SOAP-ENC:arrayType="xsd:string[2]"><string>Device.A</string><string>Device.B.</string></ParameterNames></cwmp:GetParameterValues>"#
    );
    assert_eq!(body(&Body::Request(Request::FactoryReset)), "<cwmp:FactoryReset></cwmp:FactoryReset>");
    assert_eq!(
        body(&Body::Response(Response::TransferComplete)),
        "<cwmp:TransferCompleteResponse></cwmp:TransferCompleteResponse>"
    );
}

#[test]
fn attributes_always_carry_a_notification() {
    let parameters =
        vec![SetParameterAttributesStruct { name: "Device.X".into(), ..SetParameterAttributesStruct::default() }];
    assert_eq!(
        body(&Body::Request(Request::SetParameterAttributes(SetParameterAttributes { parameters }))),
        r#"<cwmp:SetParameterAttributes><ParameterList SOAP-ENC:arrayType="cwmp:SetParameterAttributesStruct[1]"><SetParameterAttributesStruct><Name>Device.X</Name><NotificationChange>0</NotificationChange><Notification>0</Notification><AccessListChange>0</AccessListChange><AccessList SOAP-ENC:arrayType="xsd:string[0]"></AccessList></SetParameterAttributesStruct></ParameterList></cwmp:SetParameterAttributes>"#
    );
}

#[test]
fn quirk_23_next_level_is_one_or_zero() {
    for (next_level, want) in [(true, "<NextLevel>1</NextLevel>"), (false, "<NextLevel>0</NextLevel>")] {
        let request = GetParameterNames { path: "Device.".into(), next_level };
        let text = body(&Body::Request(Request::GetParameterNames(request)));
        assert!(text.contains(want), "{text}");
    }
}

#[test]
fn quirk_58_the_parameter_key_can_be_left_out() {
    let emission = Emission { no_parameter_key: true, ..Emission::default() };
    let requests = [
        Request::SetParameterValues(SetParameterValues { parameters: Vec::new(), parameter_key: "k".into() }),
        Request::AddObject(AddObject { object_name: "Device.A.".into(), parameter_key: "k".into() }),
        Request::DeleteObject(DeleteObject { object_name: "Device.A.1.".into(), parameter_key: "k".into() }),
    ];
    for request in requests {
        let text = write(&Header::default(), &Body::Request(request), &emission);
        assert!(!text.contains("ParameterKey"), "{text}");
    }
}

#[test]
fn everything_is_escaped_everywhere() {
    let nasty = "a&b<c>d\"e'f\r\u{1}\0\u{fffe}\u{ffff}g\t\n";
    let escaped = "a&amp;b&lt;c&gt;d&quot;e&apos;f&#13;g\t\n";
    assert!(body(&set(nasty, XsdType::String)).contains(&format!("<Value xsi:type=\"xsd:string\">{escaped}</Value>")));
    let names = vec![nasty.into()];
    assert!(
        body(&Body::Request(Request::GetParameterValues(GetParameterValues { names })))
            .contains(&format!("<string>{escaped}</string>"))
    );
    let header = Header { id: Some(nasty.into()), ..Header::default() };
    let text = write(&header, &Body::Empty, &Emission::default());
    schema::assert_valid(text.as_bytes(), CwmpVersion::V1_0);
    assert!(text.contains(&format!("\"1\">{escaped}</cwmp:ID>")), "{text}");
    let other = "né \u{feff}漢\u{fffd}😀\u{e000}";
    assert!(body(&set(other, XsdType::String)).contains(other), "what XML has a place for is kept");
}

#[test]
fn types_are_echoed_as_the_device_spelled_them() {
    for ty in XsdType::ALL {
        let value = match ty {
            XsdType::DateTime => "2026-03-01T08:00:00Z",
            XsdType::Base64 | XsdType::Base64Binary => "AAAA",
            XsdType::HexBinary => "00",
            _ => "1",
        };
        let text = write(&Header::default(), &set(value, ty), &Emission::default());
        assert!(text.contains(&format!("xsi:type=\"{}\"", ty.qualified())), "{text}");
        // XML Schema has no `xsd:base64`: only devices that say so themselves are sent it.
        assert_eq!(schema::validity(text.as_bytes(), CwmpVersion::V1_0).is_ok(), ty != XsdType::Base64, "{text}");
    }
}

#[test]
fn faults_of_the_acs() {
    for fault in AcsFault::ALL {
        let text = write(&Header::default(), &Body::Fault(fault.into()), &super::emission(CwmpVersion::V1_4));
        schema::assert_valid(text.as_bytes(), CwmpVersion::V1_4);
        let want = format!(
            "<SOAP-ENV:Fault><faultcode>{}</faultcode><faultstring>CWMP fault</faultstring><detail><cwmp:Fault><FaultCode>{}</FaultCode><FaultString>{}</FaultString></cwmp:Fault></detail></SOAP-ENV:Fault>",
            fault.soap_code(),
            fault.code(),
            fault.meaning()
        );
        assert!(text.contains(&want), "{text}");
    }
}

#[test]
fn faults_of_single_parameters() {
    let fault = Fault {
        code: CpeFaultCode::INVALID_ARGUMENTS,
        message: "Invalid arguments".into(),
        parameters: vec![ParameterFault {
            name: "Device.X".into(),
            code: CpeFaultCode::INVALID_TYPE,
            message: "".into(),
        }],
    };
    let text = body(&Body::Fault(fault));
    assert!(text.starts_with("<SOAP-ENV:Fault><faultcode>Client</faultcode>"), "{text}");
    assert!(text.contains("<SetParameterValuesFault><ParameterName>Device.X</ParameterName><FaultCode>9006</FaultCode><FaultString></FaultString></SetParameterValuesFault></cwmp:Fault>"), "{text}");
}

#[test]
fn quirk_41_fault_code_stands_in_no_other_message() {
    let text = body(&set("<FaultCode>9005</FaultCode>", XsdType::String));
    assert!(!text.contains("<FaultCode>"), "{text}");
}

#[test]
fn what_is_in_the_buffer_already_stays() {
    let mut out = b"before".to_vec();
    encode(&Header::default(), &Body::Empty, &Emission::default(), &mut out);
    assert!(out.starts_with(b"before<SOAP-ENV:Envelope"));
}
