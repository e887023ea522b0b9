//! Messages at random: of every variant, valid in a given version.

use std::borrow::Cow;

use acsd::cwmp::emission::{Declaration, Emission, SoapPrefix};
use acsd::cwmp::fault::CpeFaultCode;
use acsd::cwmp::message::acs::*;
use acsd::cwmp::message::cpe::*;
use acsd::cwmp::message::inform::{DeviceIdStruct, EventStruct, Inform, ParameterValueStruct};
use acsd::cwmp::message::{Body, Fault, FaultStruct, Header, Method, ParameterFault, Request, Response, Text};
use acsd::cwmp::version::CwmpVersion;
use acsd::types::event::EventCode;
use acsd::types::value::XsdType;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

type T = Text<'static>;

/// The first version that has the method.
pub(crate) fn since(method: Method) -> CwmpVersion {
    match method {
        Method::GetAllQueuedTransfers | Method::AutonomousTransferComplete => CwmpVersion::V1_1,
        Method::ScheduleDownload
        | Method::CancelTransfer
        | Method::ChangeDuState
        | Method::DuStateChangeComplete
        | Method::AutonomousDuStateChangeComplete => CwmpVersion::V1_2,
        _ => CwmpVersion::V1_0,
    }
}

/// Any text of up to `max` characters, with everything that has to be escaped.
fn text(max: usize) -> BoxedStrategy<T> {
    let character = prop_oneof![8 => proptest::char::range(' ', '~'), 1 => select(vec!['&', '<', '>', '"', '\'', ']', '\t', '\n', '\r']),
        1 => select(vec!['é', 'Ж', '漢', '\u{85}', '\u{a0}', '\u{d7ff}', '\u{e000}', '\u{fffd}', '😀', '\u{feff}'])];
    vec(character, 0..=max).prop_map(|chars| Cow::Owned(chars.into_iter().collect())).boxed()
}

/// [`text`] without blanks around it.
fn trimmed(max: usize) -> BoxedStrategy<T> {
    text(max).prop_map(|text| Cow::Owned(text.trim().to_owned())).boxed()
}

fn words(pattern: &'static str) -> BoxedStrategy<T> {
    pattern.prop_map(Cow::Owned).boxed()
}

fn name() -> BoxedStrategy<T> {
    words("(Device|InternetGatewayDevice)(\\.[A-Za-z0-9_\\[\\]<&-]{1,12}){1,6}\\.?")
}

fn object() -> BoxedStrategy<T> {
    words("Device(\\.[A-Za-z0-9_-]{1,12}){1,6}\\.")
}

fn time() -> BoxedStrategy<T> {
    select(vec![
        "2026-01-15T10:30:00Z",
        "2026-01-15T10:30:00.123456+02:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ])
    .prop_map(Cow::Borrowed)
    .boxed()
}

fn file_type() -> BoxedStrategy<T> {
    select(vec!["1 Firmware Upgrade Image", "3 Vendor Configuration File", "X 00D09E R&D <image>"])
        .prop_map(Cow::Borrowed)
        .boxed()
}

fn uuid() -> BoxedStrategy<T> {
    words("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
}

fn url() -> BoxedStrategy<T> {
    words("https?://192\\.0\\.2\\.[1-9]/[a-z]{1,20}\\?a=[0-9]{1,4}&b=[a-z]{0,8}")
}

fn value() -> BoxedStrategy<ParameterValueStruct<'static>> {
    let typed = prop_oneof![
        3 => text(80).prop_map(|text| (XsdType::String, text)),
        1 => any::<i32>().prop_map(|n| (XsdType::Int, n.to_string().into())),
        1 => any::<u32>().prop_map(|n| (XsdType::UnsignedInt, n.to_string().into())),
        1 => any::<i64>().prop_map(|n| (XsdType::Long, n.to_string().into())),
        1 => any::<u64>().prop_map(|n| (XsdType::UnsignedLong, n.to_string().into())),
        1 => words("-?[0-9]{1,9}\\.[0-9]{1,4}").prop_map(|text| (XsdType::Decimal, text)),
        1 => select(vec!["0", "1", "true", "false"]).prop_map(|text| (XsdType::Boolean, text.into())),
        1 => time().prop_map(|text| (XsdType::DateTime, text)),
        1 => words("([A-Za-z0-9+/]{4}){0,6}").prop_map(|text| (XsdType::Base64Binary, text)),
        1 => words("([0-9A-F]{2}){0,8}").prop_map(|text| (XsdType::HexBinary, text)),
    ];
    (name(), typed).prop_map(|(name, (ty, value))| ParameterValueStruct { name, value, ty }).boxed()
}

fn notification(version: CwmpVersion) -> BoxedStrategy<u8> {
    (0..=if version >= CwmpVersion::V1_4 { 6_u8 } else { 2 }).boxed()
}

fn applied() -> BoxedStrategy<Applied> {
    select(vec![Applied::Now, Applied::Later]).boxed()
}

fn transfer_fault(version: CwmpVersion) -> BoxedStrategy<FaultStruct<'static>> {
    let mut codes = vec![0, 9001, 9002, 9010, 9011, 9012, 9801];
    if version >= CwmpVersion::V1_1 {
        codes.extend(9014..=9019);
    }
    if version >= CwmpVersion::V1_2 {
        codes.extend([9020, 9033]);
    }
    (select(codes), trimmed(60)).prop_map(|(code, message)| FaultStruct { code, message }).boxed()
}

fn event(version: CwmpVersion) -> BoxedStrategy<EventStruct<'static>> {
    let mut codes = vec![
        "0 BOOTSTRAP",
        "1 BOOT",
        "2 PERIODIC",
        "3 SCHEDULED",
        "4 VALUE CHANGE",
        "6 CONNECTION REQUEST",
        "7 TRANSFER COMPLETE",
        "8 DIAGNOSTICS COMPLETE",
        "M Reboot",
        "M Download",
        "M X_00D09E_Cook",
        "X 00D09E KETTLE \"BOILS\"",
    ];
    if version >= CwmpVersion::V1_2 {
        codes.extend(["11 DU STATE CHANGE COMPLETE", "M ChangeDUState"]);
    }
    if version >= CwmpVersion::V1_4 {
        codes.push("13 WAKEUP");
    }
    (select(codes), trimmed(32))
        .prop_map(|(code, command_key)| EventStruct {
            code: EventCode::parse(code),
            raw_code: code.into(),
            command_key,
        })
        .boxed()
}

fn inform(version: CwmpVersion) -> BoxedStrategy<Inform<'static>> {
    let device_id = (trimmed(64), words("[0-9A-F]{6}"), trimmed(64), trimmed(64)).prop_map(
        |(manufacturer, oui, product_class, serial_number)| DeviceIdStruct {
            manufacturer,
            oui,
            product_class,
            serial_number,
        },
    );
    (device_id, vec(event(version), 0..5), any::<u32>(), time(), any::<u32>(), vec(value(), 0..8))
        .prop_map(|(device_id, events, max_envelopes, current_time, retry_count, parameters)| Inform {
            device_id,
            events,
            max_envelopes,
            current_time,
            retry_count,
            parameters,
        })
        .boxed()
}

fn operation() -> BoxedStrategy<DuOperation<'static>> {
    let (text, version, reference) = (|| option::of(text(40)), || option::of(trimmed(32)), || option::of(trimmed(60)));
    prop_oneof![
        (url(), option::of(uuid()), text(), text(), reference()).prop_map(
            |(url, uuid, username, password, execution_env_ref)| {
                DuOperation::Install { url, uuid, username, password, execution_env_ref }
            }
        ),
        (option::of(uuid()), version(), option::of(url()), text(), text()).prop_map(
            |(uuid, version, url, username, password)| DuOperation::Update { uuid, version, url, username, password }
        ),
        (uuid(), version(), reference()).prop_map(|(uuid, version, execution_env_ref)| DuOperation::Uninstall {
            uuid,
            version,
            execution_env_ref
        }),
    ]
    .boxed()
}

fn du_result() -> BoxedStrategy<DuResult<'static>> {
    let fault = (select(vec![0_u16, 9001, 9015, 9022, 9032]), trimmed(40))
        .prop_map(|(code, message)| FaultStruct { code, message });
    let state = select(vec!["Installed", "Uninstalled", "Failed"]).prop_map(Cow::Borrowed);
    ((uuid(), trimmed(60), trimmed(32), state, any::<bool>()), (trimmed(60), time(), time(), fault))
        .prop_map(
            |(
                (uuid, deployment_unit_ref, version, current_state, resolved),
                (execution_unit_ref_list, start_time, complete_time, fault),
            )| {
                DuResult {
                    uuid,
                    deployment_unit_ref,
                    version,
                    current_state,
                    resolved,
                    execution_unit_ref_list,
                    start_time,
                    complete_time,
                    fault,
                }
            },
        )
        .boxed()
}

/// A call of the method.
pub(crate) fn request(method: Method, version: CwmpVersion) -> BoxedStrategy<Request<'static>> {
    match method {
        Method::GetRpcMethods => Just(Request::GetRpcMethods).boxed(),
        Method::FactoryReset => Just(Request::FactoryReset).boxed(),
        Method::GetQueuedTransfers => Just(Request::GetQueuedTransfers).boxed(),
        Method::GetAllQueuedTransfers => Just(Request::GetAllQueuedTransfers).boxed(),
        Method::SetParameterValues => (vec(value(), 0..8), trimmed(32))
            .prop_map(|(parameters, parameter_key)| {
                Request::SetParameterValues(SetParameterValues { parameters, parameter_key })
            })
            .boxed(),
        Method::GetParameterValues => {
            vec(name(), 1..8).prop_map(|names| Request::GetParameterValues(GetParameterValues { names })).boxed()
        }
        Method::GetParameterAttributes => vec(name(), 1..8)
            .prop_map(|names| Request::GetParameterAttributes(GetParameterAttributes { names }))
            .boxed(),
        Method::GetParameterNames => (prop_oneof![Just(Cow::Borrowed("")), name()], any::<bool>())
            .prop_map(|(path, next_level)| Request::GetParameterNames(GetParameterNames { path, next_level }))
            .boxed(),
        Method::SetParameterAttributes => {
            let entry = (name(), any::<bool>(), notification(version), any::<bool>(), vec(trimmed(64), 0..3)).prop_map(
                |(name, notification_change, notification, access_list_change, access_list)| {
                    SetParameterAttributesStruct {
                        name,
                        notification_change,
                        notification,
                        access_list_change,
                        access_list,
                    }
                },
            );
            vec(entry, 1..5)
                .prop_map(|parameters| Request::SetParameterAttributes(SetParameterAttributes { parameters }))
                .boxed()
        }
        Method::AddObject => (object(), trimmed(32))
            .prop_map(|(object_name, parameter_key)| Request::AddObject(AddObject { object_name, parameter_key }))
            .boxed(),
        Method::DeleteObject => (object(), trimmed(32))
            .prop_map(|(object_name, parameter_key)| Request::DeleteObject(DeleteObject { object_name, parameter_key }))
            .boxed(),
        Method::Reboot => trimmed(32).prop_map(|command_key| Request::Reboot(Reboot { command_key })).boxed(),
        Method::CancelTransfer => {
            trimmed(32).prop_map(|command_key| Request::CancelTransfer(CancelTransfer { command_key })).boxed()
        }
        Method::ScheduleInform => (1..=u32::MAX, trimmed(32))
            .prop_map(|(delay_secs, command_key)| Request::ScheduleInform(ScheduleInform { delay_secs, command_key }))
            .boxed(),
        Method::Download => (
            (trimmed(32), file_type(), url(), text(40), text(40)),
            (any::<u32>(), trimmed(60), any::<u32>(), url(), url()),
        )
            .prop_map(
                |(
                    (command_key, file_type, url, username, password),
                    (file_size, target_file_name, delay_secs, success_url, failure_url),
                )| {
                    Request::Download(Download {
                        command_key,
                        file_type,
                        url,
                        username,
                        password,
                        file_size,
                        target_file_name,
                        delay_secs,
                        success_url,
                        failure_url,
                    })
                },
            )
            .boxed(),
        Method::Upload => (trimmed(32), file_type(), url(), text(40), text(40), any::<u32>())
            .prop_map(|(command_key, file_type, url, username, password, delay_secs)| {
                Request::Upload(Upload { command_key, file_type, url, username, password, delay_secs })
            })
            .boxed(),
        Method::ScheduleDownload => {
            let mode =
                select(vec!["1 At Any Time", "4 Confirmation Needed", "X 00D09E AT TEA"]).prop_map(Cow::Borrowed);
            let window = (any::<u32>(), any::<u32>(), mode, trimmed(80), any::<i32>()).prop_map(
                |(start_secs, end_secs, mode, user_message, max_retries)| TimeWindowStruct {
                    start_secs,
                    end_secs,
                    mode,
                    user_message,
                    max_retries,
                },
            );
            ((trimmed(32), file_type(), url(), text(40), text(40)), (any::<u32>(), trimmed(60), vec(window, 1..=2)))
                .prop_map(
                    |((command_key, file_type, url, username, password), (file_size, target_file_name, windows))| {
                        Request::ScheduleDownload(ScheduleDownload {
                            command_key,
                            file_type,
                            url,
                            username,
                            password,
                            file_size,
                            target_file_name,
                            windows,
                        })
                    },
                )
                .boxed()
        }
        Method::ChangeDuState => (vec(operation(), 1..4), trimmed(32))
            .prop_map(|(operations, command_key)| Request::ChangeDuState(ChangeDuState { operations, command_key }))
            .boxed(),
        Method::SetVouchers => vec(words("([A-Za-z0-9+/]{4}){1,9}"), 0..4)
            .prop_map(|vouchers| Request::SetVouchers(SetVouchers { vouchers }))
            .boxed(),
        Method::GetOptions => {
            trimmed(64).prop_map(|option_name| Request::GetOptions(GetOptions { option_name })).boxed()
        }
        Method::Inform => inform(version).prop_map(Request::Inform).boxed(),
        Method::TransferComplete => (trimmed(32), transfer_fault(version), time(), time())
            .prop_map(|(command_key, fault, start_time, complete_time)| {
                Request::TransferComplete(TransferComplete { command_key, fault, start_time, complete_time })
            })
            .boxed(),
        Method::AutonomousTransferComplete => (
            (url(), url(), any::<bool>(), file_type()),
            (any::<u32>(), trimmed(60), transfer_fault(version), time(), time()),
        )
            .prop_map(
                |(
                    (announce_url, transfer_url, is_download, file_type),
                    (file_size, target_file_name, fault, start_time, complete_time),
                )| {
                    Request::AutonomousTransferComplete(AutonomousTransferComplete {
                        announce_url,
                        transfer_url,
                        is_download,
                        file_type,
                        file_size,
                        target_file_name,
                        fault,
                        start_time,
                        complete_time,
                    })
                },
            )
            .boxed(),
        Method::RequestDownload => (file_type(), vec((trimmed(64), text(80)), 0..5))
            .prop_map(|(file_type, arguments)| Request::RequestDownload(RequestDownload { file_type, arguments }))
            .boxed(),
        Method::Kicked => (trimmed(32), trimmed(64), trimmed(80), url())
            .prop_map(|(command, referer, arg, next)| Request::Kicked(Kicked { command, referer, arg, next }))
            .boxed(),
        Method::DuStateChangeComplete => (vec(du_result(), 1..4), trimmed(32))
            .prop_map(|(results, command_key)| {
                Request::DuStateChangeComplete(DuStateChangeComplete { results, command_key })
            })
            .boxed(),
        Method::AutonomousDuStateChangeComplete => {
            let operation = select(vec!["Install", "Update", "Uninstall", "X_00D09E_Warm"]).prop_map(Cow::Borrowed);
            vec((du_result(), operation), 1..4)
                .prop_map(|results| {
                    Request::AutonomousDuStateChangeComplete(AutonomousDuStateChangeComplete { results })
                })
                .boxed()
        }
    }
}

/// An answer to the method.
pub(crate) fn response(method: Method, version: CwmpVersion) -> BoxedStrategy<Response<'static>> {
    let empty = |response: Response<'static>| Just(response).boxed();
    match method {
        Method::GetRpcMethods => vec(words("[A-Za-z]{1,40}"), 0..9)
            .prop_map(|methods| Response::GetRpcMethods(MethodList { methods }))
            .boxed(),
        Method::SetParameterValues => applied().prop_map(Response::SetParameterValues).boxed(),
        Method::DeleteObject => applied().prop_map(Response::DeleteObject).boxed(),
        Method::GetParameterValues => vec(value(), 0..9)
            .prop_map(|parameters| Response::GetParameterValues(ParameterValues { parameters }))
            .boxed(),
        Method::GetParameterNames => vec((name(), any::<bool>()), 0..9)
            .prop_map(|list| {
                let parameters =
                    list.into_iter().map(|(name, writable)| ParameterInfoStruct { name, writable }).collect();
                Response::GetParameterNames(ParameterNames { parameters })
            })
            .boxed(),
        Method::GetParameterAttributes => vec((name(), notification(version), vec(trimmed(64), 0..3)), 0..5)
            .prop_map(|list| {
                let entry =
                    |(name, notification, access_list)| ParameterAttributeStruct { name, notification, access_list };
                Response::GetParameterAttributes(ParameterAttributes {
                    parameters: list.into_iter().map(entry).collect(),
                })
            })
            .boxed(),
        Method::AddObject => (1..=u32::MAX, applied())
            .prop_map(|(instance_number, status)| Response::AddObject(AddObjectResponse { instance_number, status }))
            .boxed(),
        Method::Download | Method::Upload => (applied(), time(), time())
            .prop_map(move |(status, start_time, complete_time)| {
                let started = TransferStarted { status, start_time, complete_time };
                if method == Method::Download { Response::Download(started) } else { Response::Upload(started) }
            })
            .boxed(),
        Method::GetQueuedTransfers => vec((trimmed(32), 1..=3_u8), 0..=16)
            .prop_map(|list| {
                let transfers =
                    list.into_iter().map(|(command_key, state)| QueuedTransferStruct { command_key, state }).collect();
                Response::GetQueuedTransfers(QueuedTransfers { transfers })
            })
            .boxed(),
        Method::GetAllQueuedTransfers => {
            vec((trimmed(32), 1..=3_u8, any::<bool>(), file_type(), any::<u32>(), trimmed(60)), 0..5)
                .prop_map(|list| {
                    let entry = |(command_key, state, is_download, file_type, file_size, target_file_name)| {
                        AllQueuedTransferStruct {
                            command_key,
                            state,
                            is_download,
                            file_type,
                            file_size,
                            target_file_name,
                        }
                    };
                    Response::GetAllQueuedTransfers(AllQueuedTransfers {
                        transfers: list.into_iter().map(entry).collect(),
                    })
                })
                .boxed()
        }
        Method::GetOptions => {
            vec((trimmed(64), any::<u32>(), 0..=3_u32, 0..=2_i32, time(), option::of(time()), any::<bool>()), 0..4)
                .prop_map(|list| {
                    let entry =
                        |(option_name, voucher_sn, state, mode, start_date, expiration_date, is_transferable)| {
                            OptionStruct {
                                option_name,
                                voucher_sn,
                                state,
                                mode,
                                start_date,
                                expiration_date,
                                is_transferable,
                            }
                        };
                    Response::GetOptions(OptionList { options: list.into_iter().map(entry).collect() })
                })
                .boxed()
        }
        Method::Kicked => url().prop_map(|next_url| Response::Kicked(KickedResponse { next_url })).boxed(),
        Method::SetParameterAttributes => empty(Response::SetParameterAttributes),
        Method::Reboot => empty(Response::Reboot),
        Method::FactoryReset => empty(Response::FactoryReset),
        Method::ScheduleInform => empty(Response::ScheduleInform),
        Method::ScheduleDownload => empty(Response::ScheduleDownload),
        Method::CancelTransfer => empty(Response::CancelTransfer),
        Method::ChangeDuState => empty(Response::ChangeDuState),
        Method::SetVouchers => empty(Response::SetVouchers),
        Method::Inform => empty(Response::Inform),
        Method::TransferComplete => empty(Response::TransferComplete),
        Method::AutonomousTransferComplete => empty(Response::AutonomousTransferComplete),
        Method::RequestDownload => empty(Response::RequestDownload),
        Method::DuStateChangeComplete => empty(Response::DuStateChangeComplete),
        Method::AutonomousDuStateChangeComplete => empty(Response::AutonomousDuStateChangeComplete),
    }
}

/// A fault of either side.
pub(crate) fn fault(version: CwmpVersion) -> BoxedStrategy<Fault<'static>> {
    let mut codes: Vec<u16> = (8000..=8005).chain(9000..=9013).chain([8800, 9800, 9899]).collect();
    if version >= CwmpVersion::V1_2 {
        codes.extend(9014..=9033);
    }
    let code = || select(codes.clone()).prop_map(CpeFaultCode);
    let parameter =
        (name(), code(), trimmed(60)).prop_map(|(name, code, message)| ParameterFault { name, code, message });
    (code(), trimmed(60), vec(parameter, 0..4))
        .prop_map(|(code, message, parameters)| Fault { code, message, parameters })
        .boxed()
}

/// The content of a body: any message that the version has.
pub(crate) fn body(version: CwmpVersion) -> BoxedStrategy<Body<'static>> {
    let methods: Vec<Method> = Method::ALL.into_iter().filter(|method| since(*method) <= version).collect();
    prop_oneof![
        10 => select(methods.clone()).prop_flat_map(move |method| request(method, version)).prop_map(Body::Request),
        10 => select(methods).prop_flat_map(move |method| response(method, version)).prop_map(Body::Response),
        2 => fault(version).prop_map(Body::Fault),
        1 => Just(Body::Empty),
    ]
    .boxed()
}

/// Header elements that the version has.
pub(crate) fn header(version: CwmpVersion) -> BoxedStrategy<Header<'static>> {
    let id = option::of(text(32).prop_filter("a blank ID is none", |id| !id.trim().is_empty()));
    let timeout = if version >= CwmpVersion::V1_3 { option::of(30..=u32::MAX).boxed() } else { Just(None).boxed() };
    let versions = if version >= CwmpVersion::V1_4 {
        option::of(Just(Cow::Borrowed("1.0, 1.1,1.2"))).boxed()
    } else {
        Just(None).boxed()
    };
    let used = if version >= CwmpVersion::V1_4 {
        option::of(select(CwmpVersion::ALL.to_vec())).boxed()
    } else {
        Just(None).boxed()
    };
    (id, option::of(any::<bool>()), timeout, versions, used)
        .prop_map(|(id, hold_requests, session_timeout_secs, supported_versions, use_version)| Header {
            id,
            hold_requests,
            session_timeout_secs,
            supported_versions,
            use_version,
        })
        .boxed()
}

/// A profile in the version's own namespace.
pub(crate) fn emission(version: CwmpVersion) -> BoxedStrategy<Emission> {
    let declaration = select(vec![Declaration::Absent, Declaration::Plain, Declaration::WithEncoding]);
    let prefix = select(vec![SoapPrefix::Upper, SoapPrefix::Lower, SoapPrefix::Plain]);
    (declaration, prefix, any::<bool>())
        .prop_map(move |(declaration, soap_prefix, encoding_style)| Emission {
            declaration,
            soap_prefix,
            namespace: version.namespace(),
            no_parameter_key: false,
            encoding_style,
        })
        .boxed()
}
