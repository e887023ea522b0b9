//! What CPEs really send, one test for each quirk that concerns decoding. Numbers are those of the list of quirks that
//! the comments in `src/` cite too.

use acsd::cwmp::codec::{DecodeErrorKind, Limits, decode, to_text};
use acsd::cwmp::fault::CpeFaultCode;
use acsd::cwmp::message::acs::{AddObjectResponse, Applied, DuOperation, ParameterValues};
use acsd::cwmp::message::{Body, FaultStruct, Request, Response};
use acsd::cwmp::version::Namespace;
use acsd::types::event::EventCode;
use acsd::types::time::{CwmpTime, parse_cwmp_time};
use acsd::types::value::XsdType;

use super::{envelope, fault, inform, read, response};

/// A `GetParameterValuesResponse` with one value, spelled like this.
fn one_value(value: &str) -> String {
    envelope(&format!(
        "<cwmp:GetParameterValuesResponse><ParameterList><ParameterValueStruct><Name>Device.X</Name>{value}\
         </ParameterValueStruct></ParameterList></cwmp:GetParameterValuesResponse>"
    ))
}

fn values(text: &str) -> ParameterValues<'_> {
    match response(text) {
        Response::GetParameterValues(values) => values,
        other => panic!("no values: {other:?}"),
    }
}

/// The value that this spelling is read as.
fn value(spelled: &str) -> (String, XsdType) {
    let text = one_value(spelled);
    let values = values(&text);
    assert_eq!(values.parameters.len(), 1, "{spelled}");
    let parameter = &values.parameters[0];
    (parameter.value.to_string(), parameter.ty)
}

fn string(spelled: &str) -> String {
    value(&format!(r#"<Value xsi:type="xsd:string">{spelled}</Value>"#)).0
}

#[test]
fn quirk_01_any_prefix_on_anything_and_none() {
    let method = "<{m}DeviceId><{a}SerialNumber>S1</{a}SerialNumber></{m}DeviceId>";
    let plain = r#"<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Inform xmlns="urn:dslforum-org:cwmp-1-0">{}</Inform></Body></Envelope>"#;
    let custom = r#"<s:Envelope xmlns:tr069="urn:dslforum-org:cwmp-1-2"><s:Body><tr069:Inform>{}</tr069:Inform></s:Body></s:Envelope>"#;
    let undeclared = "<soap:Envelope><soap:Body><cwmp:Inform>{}</cwmp:Inform></soap:Body></soap:Envelope>";
    let table = [(plain, Some(Namespace::Cwmp1_0)), (custom, Some(Namespace::Cwmp1_2)), (undeclared, None)];
    for (around, namespace) in table {
        for (m, a) in [("", ""), ("cwmp:", "xsd:"), ("a.b-c:", "")] {
            let text = around.replace("{}", &method.replace("{m}", m).replace("{a}", a));
            assert_eq!(inform(&text).device_id.serial_number, "S1", "{text}");
            assert_eq!(read(&text).namespace, namespace, "{text}");
        }
    }
}

#[test]
fn quirk_02_array_and_value_types_missing_or_odd() {
    let table = [
        ("<Value>1</Value>", XsdType::String),
        (r#"<Value xsi:type="string">1</Value>"#, XsdType::String),
        (r#"<Value xsi:type="xsd:string(1024)">1</Value>"#, XsdType::String),
        (r#"<Value xsi:type="xsd:">1</Value>"#, XsdType::String),
        (r#"<Value xsi:type="SOAP-ENC:string">1</Value>"#, XsdType::String),
        (r#"<Value type='xs:unsignedInt'>1</Value>"#, XsdType::UnsignedInt),
        (r#"<Value xsi:type = "xsd:boolean" >1</Value>"#, XsdType::Boolean),
        (r#"<Value xsi:type=xsd:int>1</Value>"#, XsdType::Int),
        (r#"<Value soap:x="" xsi:type="xsd:dateTime">1</Value>"#, XsdType::DateTime),
    ];
    for (spelled, ty) in table {
        assert_eq!(value(spelled), ("1".to_owned(), ty), "{spelled}");
    }
    for array_type in [
        "",
        r#"SOAP-ENC:arrayType="cwmp:ParameterValueStruct[0]""#,
        r#"e:arrayType="[]""#,
        r#"e:arrayType="x[99999999999]""#,
    ] {
        let text = one_value("<Value>v</Value>").replace("<ParameterList>", &format!("<ParameterList {array_type}>"));
        assert_eq!(values(&text).parameters.len(), 1, "{array_type}");
    }
}

#[test]
fn quirk_03_characters_that_xml_forbids_are_dropped() {
    assert_eq!(string("1234\u{2}5678"), "12345678");
    assert_eq!(string("a\0b\u{fffe}c\u{ffff}"), "abc");
    assert_eq!(string("a&#2;b&#x0;c&#xD800;d&#x110000;"), "abcd");
}

#[test]
fn quirk_03_a_bare_ampersand_is_text() {
    let table = [
        ("Fish & Chips", "Fish & Chips"),
        ("a&b;c", "a&b;c"),
        ("&&amp;&", "&&&"),
        ("R&D & <![CDATA[S&M]]>", "R&D & S&M"),
        ("&nbsp;", "&nbsp;"),
        ("&#; &#xZZ; &#99999999999;", "&#; &#xZZ; &#99999999999;"),
        ("&", "&"),
    ];
    for (spelled, want) in table {
        assert_eq!(string(spelled), want, "{spelled}");
    }
}

#[test]
fn quirk_03_an_unescaped_angle_bracket_is_text() {
    let table = [
        ("My<Net", "My<Net"),
        ("I <3 Wi-Fi", "I <3 Wi-Fi"),
        ("<6>kernel: up <5>init", "<6>kernel: up <5>init"),
        ("<Guest>", "<Guest>"),
        ("a<b>c<d", "a<b>c<d"),
        ("<", "<"),
        ("1 < 2 > 1", "1 < 2 > 1"),
        ("say \"<hi\"", "say \"<hi\""),
        ("it<'s", "it<'s"),
    ];
    for (spelled, want) in table {
        assert_eq!(string(spelled), want, "{spelled}");
    }
}

#[test]
fn quirk_03_text_that_is_no_utf8_is_taken_for_windows_1252() {
    let body: Vec<u8> = one_value("<Value>Caf?</Value>").bytes().map(|b| if b == b'?' { 0xe9 } else { b }).collect();
    for charset in [None, Some("utf-8"), Some("iso-8859-1"), Some("nonsense")] {
        let text = to_text(&body, charset);
        assert_eq!(values(&text).parameters[0].value, "Café", "{charset:?}");
    }
}

#[test]
fn quirk_04_whatever_surrounds_the_envelope_is_cut_off() {
    let plain = one_value("<Value>v</Value>");
    let table = [
        format!("\u{feff}{plain}"),
        format!("\r\n\r\n  <?xml version=\"1.0\"?>\n{plain}\r\n"),
        format!("{plain}\0\0\0"),
        format!("{plain}\r\n\0 trailing <garbage"),
    ];
    for body in table {
        let text = to_text(body.as_bytes(), None);
        assert_eq!(values(&text).parameters.len(), 1, "{body:?}");
    }
}

#[test]
fn quirk_05_cdata_comments_instructions_and_entities_in_values() {
    let table = [
        ("<![CDATA[<a> & ]]>b", "<a> & b"),
        ("a<!-- no -->b<?no?>c", "abc"),
        ("&lt;&gt;&amp;&quot;&apos;", "<>&\"'"),
        ("&#65;&#x42;&#X43;&#128512;", "ABC😀"),
        ("a\r\nb\rc&#13;", "a\nb\nc\r"),
        ("one<b>not this</b>two", "onetwo"),
    ];
    for (spelled, want) in table {
        assert_eq!(string(spelled), want, "{spelled}");
    }
}

#[test]
fn quirk_06_a_doctype_is_refused_wherever_it_stands() {
    let bomb = format!(r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>{}"#, one_value("<Value>&b;</Value>"));
    let external = format!(r#"<!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd">{}"#, one_value("<Value/>"));
    let lower = format!("<!doctype html>{}", one_value("<Value/>"));
    let inside = one_value("<Value>a<!DOCTYPE x>b</Value>");
    for text in [bomb, external, lower, inside] {
        assert_eq!(decode(&text, &Limits::default()).unwrap_err().kind(), DecodeErrorKind::Doctype, "{text}");
    }
}

#[test]
fn quirk_14_blanks_and_empty_bodies_are_empty_posts() {
    let table = [
        "",
        " \r\n\t",
        "\0",
        "<s:Envelope/>",
        "<s:Envelope></s:Envelope>",
        "<s:Envelope><s:Body/></s:Envelope>",
        "<s:Envelope><s:Header><cwmp:ID>1</cwmp:ID></s:Header><s:Body> \n </s:Body></s:Envelope>",
        "<s:Envelope><s:Header/></s:Envelope>",
        "<s:Body/>",
        "<?xml version='1.0'?><s:Envelope><s:Body><!-- nothing --></s:Body></s:Envelope>",
    ];
    for body in table {
        assert_eq!(read(&to_text(body.as_bytes(), None)).body, Body::Empty, "{body:?}");
    }
}

#[test]
fn quirk_16_the_id_is_what_the_cpe_made_of_it() {
    let id = |header: &str| {
        let text = format!("<s:Envelope>{header}<s:Body/></s:Envelope>");
        read(&text).header.id.map(|id| id.to_string())
    };
    assert_eq!(id(""), None, "no header");
    assert_eq!(id("<s:Header></s:Header>"), None, "no ID");
    assert_eq!(id("<s:Header><cwmp:ID/></s:Header>"), None, "an empty one");
    assert_eq!(id("<s:Header><cwmp:ID>\n  </cwmp:ID></s:Header>"), None, "a blank one");
    assert_eq!(
        id("<s:Header><ID s:mustUnderstand='0'>ABCDEFGHIJKLMNOP</ID></s:Header>").as_deref(),
        Some("ABCDEFGHIJKLMNOP")
    );
}

#[test]
fn quirk_18_odd_booleans_and_numbers_are_read_or_kept_raw() {
    // Values of parameters stay as spelled, blanks aside.
    for spelled in ["True", "enabled", "-1", "+7", "4294967296", "(null)", "maybe"] {
        let ty = r#"<Value xsi:type="xsd:unsignedInt">"#;
        assert_eq!(value(&format!("{ty} {spelled}\n</Value>")), (spelled.to_owned(), XsdType::UnsignedInt));
    }
    // Arguments are read.
    let writable = |spelled: &str| {
        let text = envelope(&format!(
            "<cwmp:GetParameterNamesResponse><ParameterList><ParameterInfoStruct><Name>Device.</Name>\
             <Writable>{spelled}</Writable></ParameterInfoStruct></ParameterList></cwmp:GetParameterNamesResponse>"
        ));
        match response(&text) {
            Response::GetParameterNames(names) => names.parameters[0].writable,
            other => panic!("{other:?}"),
        }
    };
    for spelled in ["1", "true", "TRUE", " True ", "yes", "enabled"] {
        assert!(writable(spelled), "{spelled}");
    }
    for spelled in ["0", "false", "No", "disabled", "", "(null)", "2"] {
        assert!(!writable(spelled), "{spelled}");
    }
    let retries = |spelled: &str| {
        inform(&envelope(&format!("<cwmp:Inform><RetryCount>{spelled}</RetryCount></cwmp:Inform>"))).retry_count
    };
    let table = [("05", 5), (" +7 ", 7), ("-1", 0), ("99999999999", u32::MAX), ("(null)", 0), ("", 0)];
    for (spelled, want) in table {
        assert_eq!(retries(spelled), want, "{spelled}");
    }
}

#[test]
fn quirk_19_times_are_kept_as_spelled() {
    for spelled in
        ["2020-01-02T03:04:05", "0000-00-00T00:00:00", "2000-1-1T0:0:0", "1600000000", "Mon Jan  1 00:00:00 2001"]
    {
        let text = envelope(&format!("<cwmp:Inform><CurrentTime>\n {spelled} </CurrentTime></cwmp:Inform>"));
        assert_eq!(inform(&text).current_time, spelled);
    }
}

#[test]
fn quirk_20_names_are_trimmed_and_otherwise_kept() {
    for name in ["Device.X.1", "Device..X", "Device.Device.X", "device.x.", "Device.WANDevice"] {
        let text = one_value("<Value/>").replace("Device.X", &format!(" \n{name}\t "));
        assert_eq!(values(&text).parameters[0].name, name);
    }
}

#[test]
fn quirk_23_next_level_is_read_in_any_form() {
    for (spelled, want) in [("1", true), ("true", true), ("0", false), ("False", false)] {
        let text = envelope(&format!(
            "<cwmp:GetParameterNames><ParameterPath/><NextLevel>{spelled}</NextLevel></cwmp:GetParameterNames>"
        ));
        let Body::Request(Request::GetParameterNames(names)) = read(&text).body else { panic!("GetParameterNames") };
        assert_eq!(names.next_level, want, "{spelled}");
    }
}

#[test]
fn quirk_24_a_missing_parameter_key_reads_as_empty() {
    let text = envelope("<cwmp:SetParameterValues><ParameterList/></cwmp:SetParameterValues>");
    let Body::Request(Request::SetParameterValues(set)) = read(&text).body else { panic!("SetParameterValues") };
    assert_eq!(set.parameter_key, "");
}

/// A SOAP fault with this content.
fn soap_fault(content: &str) -> String {
    envelope(&format!("<SOAP-ENV:Fault>{content}</SOAP-ENV:Fault>"))
}

#[test]
fn quirk_25_fault_without_detail() {
    let text = soap_fault("<faultcode>SOAP-ENV:Client</faultcode><faultstring>HTTP error</faultstring>");
    let fault = fault(&text);
    assert_eq!((fault.code, &*fault.message), (CpeFaultCode::INTERNAL_ERROR, "HTTP error"));
}

#[test]
fn quirk_25_fault_code_in_the_wrong_place() {
    let table = [
        ("<faultcode>SOAP-ENV:9005</faultcode>", 9005),
        ("<faultcode>Client</faultcode><faultstring>9003 Invalid arguments</faultstring>", 9003),
        ("<faultcode>Client</faultcode><detail>error 9007</detail>", 9007),
        ("<detail><cwmp:Fault><FaultString>code=9001</FaultString></cwmp:Fault></detail>", 9001),
        ("<detail><FaultCode>9005</FaultCode></detail>", 9005),
        ("<FaultCode> 9005 </FaultCode>", 9005),
        ("<detail><w><cwmp:Fault><w><FaultCode>9008</FaultCode></w></cwmp:Fault></w></detail>", 9008),
        ("<detail><cwmp:Fault><FaultCode>Error 9005: no such name</FaultCode></cwmp:Fault></detail>", 9005),
        ("<detail><cwmp:Fault><FaultCode>0</FaultCode></cwmp:Fault></detail>", 9002),
        ("<detail><cwmp:Fault><FaultCode/></cwmp:Fault></detail>", 9002),
        ("<faultstring>id 190050 of 9005x, 90051</faultstring>", 9005),
        ("", 9002),
    ];
    for (content, code) in table {
        assert_eq!(fault(&soap_fault(content)).code, CpeFaultCode(code), "{content}");
    }
}

#[test]
fn quirk_25_faults_of_single_parameters() {
    let one = "<ParameterName> Device.A </ParameterName><FaultCode>9007</FaultCode><FaultString>too long</FaultString>";
    let two = "<ParameterName>Device.B</ParameterName><FaultCode>9008</FaultCode>";
    let flat = format!(
        "<SetParameterValuesFault>{one}</SetParameterValuesFault><SetParameterValuesFault>{two}</SetParameterValuesFault>"
    );
    let wrapped =
        format!("<SetParameterValuesFault><Entry>{one}</Entry><Entry>{two}</Entry></SetParameterValuesFault>");
    for details in [flat, wrapped] {
        for outer in ["<FaultCode>9003</FaultCode><FaultString>Invalid arguments</FaultString>", ""] {
            let text = soap_fault(&format!("<detail><cwmp:Fault>{outer}{details}</cwmp:Fault></detail>"));
            let fault = fault(&text);
            assert_eq!(fault.code, CpeFaultCode::INVALID_ARGUMENTS, "{text}");
            let blamed: Vec<_> = fault.parameters.iter().map(|p| (&*p.name, p.code.0, &*p.message)).collect();
            assert_eq!(blamed, [("Device.A", 9007, "too long"), ("Device.B", 9008, "")], "{text}");
        }
    }
}

#[test]
fn quirk_26_a_status_that_is_missing_or_odd_means_applied() {
    for (status, want) in [
        ("", Applied::Now),
        ("<Status/>", Applied::Now),
        ("<Status>0</Status>", Applied::Now),
        ("<Status> 1 </Status>", Applied::Later),
        ("<Status>2</Status>", Applied::Now),
        ("<Status>ok</Status>", Applied::Now),
    ] {
        let text = envelope(&format!("<cwmp:SetParameterValuesResponse>{status}</cwmp:SetParameterValuesResponse>"));
        assert_eq!(response(&text), Response::SetParameterValues(want), "{status}");
    }
}

#[test]
fn quirk_27_a_download_response_without_times() {
    let text = envelope("<cwmp:DownloadResponse><Status>1</Status><StartTime/></cwmp:DownloadResponse>");
    let Response::Download(started) = response(&text) else { panic!("a DownloadResponse") };
    assert_eq!((started.status, &*started.start_time, &*started.complete_time), (Applied::Later, "", ""));
}

#[test]
fn quirk_47_an_inform_without_events_or_with_odd_ones() {
    let codes = |events: &str| -> Vec<EventCode> {
        inform(&envelope(&format!("<cwmp:Inform>{events}</cwmp:Inform>")))
            .events
            .iter()
            .map(|event| event.code)
            .collect()
    };
    assert_eq!(codes(""), []);
    assert_eq!(codes(r#"<Event SOAP-ENC:arrayType="cwmp:EventStruct[0]"/>"#), []);
    assert_eq!(codes("<Event><EventStruct><CommandKey/></EventStruct></Event>"), [], "an event without a code is none");
    assert_eq!(
        codes(
            "<Event><EventStruct><EventCode>14 NEW</EventCode></EventStruct><EventStruct><EventCode>2 PERIODIC</EventCode></EventStruct></Event>"
        ),
        [EventCode::Unknown, EventCode::Periodic]
    );
}

#[test]
fn quirk_48_max_envelopes_is_whatever_and_the_first_envelope_counts() {
    assert_eq!(inform(&envelope("<cwmp:Inform><MaxEnvelopes>2</MaxEnvelopes></cwmp:Inform>")).max_envelopes, 2);
    assert_eq!(inform(&envelope("<cwmp:Inform></cwmp:Inform>")).max_envelopes, 1);
    let two = format!("{}{}", envelope("<cwmp:RebootResponse/>"), envelope("<cwmp:FactoryResetResponse/>"));
    assert_eq!(response(&two), Response::Reboot);
    assert_eq!(response(&envelope("<cwmp:RebootResponse/><cwmp:FactoryResetResponse/>")), Response::Reboot);
}

#[test]
fn quirk_51_an_added_object_without_a_number() {
    for number in ["", "<InstanceNumber/>", "<InstanceNumber>Device.NAT.PortMapping.</InstanceNumber>"] {
        let text = envelope(&format!("<cwmp:AddObjectResponse>{number}<Status>0</Status></cwmp:AddObjectResponse>"));
        assert_eq!(
            response(&text),
            Response::AddObject(AddObjectResponse { instance_number: 0, status: Applied::Now }),
            "{number}"
        );
    }
}

#[test]
fn quirk_53_masked_and_padded_values_come_as_spelled() {
    for spelled in ["****", "", "  padded\t", "\n"] {
        assert_eq!(string(spelled), spelled);
    }
    let (missing, ty) = value("");
    assert_eq!((&*missing, ty), ("", XsdType::String), "no Value at all");
}

#[test]
fn quirk_61_an_empty_post_decodes_before_any_inform() {
    assert_eq!(read("").body, Body::Empty);
    assert_eq!(read("").namespace, None);
}

#[test]
fn quirk_67_event_codes_in_any_case() {
    let text = envelope(
        "<cwmp:Inform><Event><EventStruct><EventCode> 1 Boot </EventCode><CommandKey/></EventStruct></Event></cwmp:Inform>",
    );
    let events = inform(&text).events;
    assert_eq!((events[0].code, &*events[0].raw_code), (EventCode::Boot, "1 Boot"));
}

#[test]
fn quirk_68_odd_times_in_a_transfer_complete() {
    let text = envelope(
        "<cwmp:TransferComplete><CommandKey>k</CommandKey><FaultStruct><FaultCode>0</FaultCode><FaultString/></FaultStruct>\
         <StartTime></StartTime><CompleteTime>0001-01-01T00:00:00Z</CompleteTime></cwmp:TransferComplete>",
    );
    let Body::Request(Request::TransferComplete(complete)) = read(&text).body else { panic!("TransferComplete") };
    assert_eq!(complete.start_time, "");
    assert_eq!(parse_cwmp_time(&complete.complete_time), Some(CwmpTime::Unknown));
}

#[test]
fn quirk_69_the_fault_of_a_transfer_last_missing_or_odd() {
    let code = |faults: &str| {
        let text = envelope(&format!(
            "<cwmp:TransferComplete><CompleteTime/><CommandKey>k</CommandKey>{faults}</cwmp:TransferComplete>"
        ));
        match read(&text).body {
            Body::Request(Request::TransferComplete(complete)) => complete.fault.code,
            other => panic!("{other:?}"),
        }
    };
    let table = [
        ("", FaultStruct::default().code),
        ("<FaultStruct/>", 0),
        ("<FaultStruct><FaultCode/></FaultStruct>", 0),
        ("<FaultStruct><FaultCode>00</FaultCode></FaultStruct>", 0),
        ("<FaultStruct><FaultCode>(null)</FaultCode></FaultStruct>", 0),
        ("<FaultStruct><FaultString>x</FaultString><FaultCode> 9010 </FaultCode></FaultStruct>", 9010),
        ("<FaultStruct><FaultCode>9018 corrupted</FaultCode></FaultStruct>", 9018),
        ("<FaultStruct><FaultStruct><FaultCode>9012</FaultCode></FaultStruct></FaultStruct>", 9012),
        ("<FaultStruct><FaultCode>failed</FaultCode></FaultStruct>", 9002),
    ];
    for (faults, want) in table {
        assert_eq!(code(faults), want, "{faults}");
    }
}

#[test]
fn quirk_70_instance_number_zero_is_read_as_zero() {
    let text = envelope(
        "<cwmp:AddObjectResponse><InstanceNumber>0</InstanceNumber><Status>0</Status></cwmp:AddObjectResponse>",
    );
    assert_eq!(response(&text), Response::AddObject(AddObjectResponse { instance_number: 0, status: Applied::Now }));
}

#[test]
fn members_in_any_order_unknown_and_doubled() {
    let text = envelope(
        "<cwmp:Inform><RetryCount>1</RetryCount><Vendor><Deep><Name>x</Name></Deep></Vendor>\
         <ParameterList><ParameterValueStruct><Value>v</Value><Extra/><Name>Device.A</Name></ParameterValueStruct></ParameterList>\
         <DeviceId><SerialNumber>old</SerialNumber><WanIPAddress>192.0.2.6</WanIPAddress><SerialNumber>S1</SerialNumber></DeviceId>\
         <ParameterList><item><Name>Device.B</Name></item></ParameterList><RetryCount>2</RetryCount></cwmp:Inform>",
    );
    let inform = inform(&text);
    assert_eq!(inform.retry_count, 2, "the last one counts");
    assert_eq!(inform.device_id.serial_number, "S1");
    let names: Vec<&str> = inform.parameters.iter().map(|parameter| &*parameter.name).collect();
    assert_eq!(names, ["Device.A", "Device.B"], "lists are joined");
}

#[test]
fn results_and_operations_of_deployment_units_in_wrappers() {
    let text = envelope(
        "<cwmp:DUStateChangeComplete><CommandKey>k</CommandKey><Results><OpResultStruct><UUID>u1</UUID><Fault><FaultStruct>\
         <FaultCode>9015</FaultCode></FaultStruct></Fault></OpResultStruct><OpResultStruct><UUID>u2</UUID></OpResultStruct></Results>\
         </cwmp:DUStateChangeComplete>",
    );
    let Body::Request(Request::DuStateChangeComplete(complete)) = read(&text).body else {
        panic!("DUStateChangeComplete")
    };
    let results: Vec<_> = complete.results.iter().map(|result| (&*result.uuid, result.fault.code)).collect();
    assert_eq!(results, [("u1", 9015), ("u2", 0)]);

    let text = envelope(
        "<cwmp:ChangeDUState><Operations><UninstallOpStruct><UUID>u1</UUID></UninstallOpStruct><BrewOpStruct/></Operations>\
         <Operations xsi:type='x:UninstallOpStruct'><UUID>u2</UUID></Operations></cwmp:ChangeDUState>",
    );
    let Body::Request(Request::ChangeDuState(change)) = read(&text).body else { panic!("ChangeDUState") };
    let uuids: Vec<&str> = change
        .operations
        .iter()
        .map(|operation| match operation {
            DuOperation::Uninstall { uuid, .. } => &**uuid,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(uuids, ["u1", "u2"]);
}

#[test]
fn a_body_or_a_method_in_place_of_the_envelope() {
    for text in ["<s:Body><cwmp:RebootResponse/></s:Body>", "<cwmp:RebootResponse></cwmp:RebootResponse>"] {
        assert_eq!(response(text), Response::Reboot);
    }
    assert_eq!(fault("<Fault><FaultCode>9004</FaultCode></Fault>").code.0, 9004);
}

#[test]
fn a_method_that_no_version_has_is_named() {
    let text = envelope("<cwmp:X_00D09E_Cook><a><b/></a></cwmp:X_00D09E_Cook>");
    assert_eq!(read(&text).body, Body::Unknown("X_00D09E_Cook".into()));
    assert_eq!(read(&envelope("<cwmp:NoSuchResponse/>")).body, Body::Unknown("NoSuchResponse".into()));
}
