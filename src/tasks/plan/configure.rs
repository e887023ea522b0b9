//! acsd's own settings on a device: its logins, its periodic Inform interval, and where it stands.
//!
//! Writing the same value twice has the effect of once, and passwords cannot be read back: an unknown outcome is
//! resolved by writing again.

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{GetParameterNames, SetParameterValues};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::device::{DataModel, ParameterPatch, Setting};
use crate::model::transaction::{VariableResult, Work};
use crate::types::path::{ParameterPath, ReadPath};
use crate::types::value::{XsdType, parse_boolean};

use super::faults::{self, Trouble};
use super::get::{Pace, Reader};
use super::{Context, Desk, Ending, Save, Step, Wanted, set};

/// The procedure behind `Work::Configure`.
#[derive(Debug, Default)]
pub(super) struct Configure {
    stage: Stage,
    /// The tree that was found where the Inform did not tell.
    found: Option<DataModel>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    /// Which parameters does the device have? Some agents die of a name that they do not know (quirk 71).
    Names,
    /// What interval does the device have?
    Look { reader: Reader, fallback_secs: u32 },
    /// The write is out.
    Write,
}

impl Configure {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Work::Configure(setting) = desk.transaction.work else {
            return faults::fail(faults::own("the transaction configures nothing"));
        };
        let is_known = |leaf: &&str| cx.known.contains_key(self.path(cx, leaf).as_str());
        // Others die of being asked which names they have: every other attempt goes without.
        let may_list = Pace::of(desk.transaction) == Pace::Subtrees;
        if may_list && cx.wanted.is_some() && !leaves(setting).iter().all(is_known) {
            return self.list(cx);
        }
        self.proceed(desk, cx, setting)
    }

    fn list(&mut self, cx: &Context<'_>) -> Step {
        self.stage = Stage::Names;
        let path = self.path(cx, "").into();
        Step::Call {
            request: Request::GetParameterNames(GetParameterNames { path, next_level: true }),
            save: Save::NotNeeded,
        }
    }

    /// What the device has, or that it does not say.
    fn listed(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        let Work::Configure(setting) = desk.transaction.work else {
            return faults::fail(faults::own("the transaction configures nothing"));
        };
        match answer {
            Answer::Response(Response::GetParameterNames(names)) => {
                desk.learned.learn.extend(names.parameters.iter().map(|info| ParameterPatch {
                    path: info.name.as_ref().into(),
                    value: None,
                    writable: Some(info.writable),
                    notification: None,
                }));
                let missing = leaves(setting)
                    .iter()
                    .map(|leaf| self.path(cx, leaf))
                    .find(|path| !names.parameters.iter().any(|info| info.name == *path));
                match missing {
                    Some(path) => faults::fail(faults::own(format!("the device has no {path}"))),
                    None => self.proceed(desk, cx, setting),
                }
            }
            Answer::Fault(fault)
                if fault.code == CpeFaultCode::INVALID_NAME
                    && cx.data_model == DataModel::Unknown
                    && self.found.is_none() =>
            {
                // Nothing in its Inform told which tree it has: then it is the other one.
                self.found = Some(DataModel::InternetGatewayDevice);
                self.list(cx)
            }
            // A device that cannot list its names is asked without.
            Answer::Fault(_) => self.proceed(desk, cx, setting),
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => {
                faults::react(desk.transaction, cx, Trouble::of(answer))
            }
        }
    }

    fn proceed(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, setting: Setting) -> Step {
        match (setting, cx.wanted) {
            (Setting::Credentials, Some(Wanted::Login { username, password })) => {
                let leaves = [("Username", username.as_str()), ("Password", password.expose())];
                self.write(desk, cx, &leaves.map(|(leaf, value)| (leaf, value, XsdType::String)))
            }
            (Setting::ConnectionRequest, Some(Wanted::Login { username, password })) => {
                let leaves = [
                    ("ConnectionRequestUsername", username.as_str()),
                    ("ConnectionRequestPassword", password.expose()),
                ];
                self.write(desk, cx, &leaves.map(|(leaf, value)| (leaf, value, XsdType::String)))
            }
            (Setting::UpdateFrequency, Some(Wanted::Interval { secs: Some(secs), .. })) => {
                let known = cx.known.get(self.path(cx, "PeriodicInformEnable").as_str());
                self.write_interval(desk, cx, *secs, known.and_then(|known| known.value.as_deref()))
            }
            (Setting::UpdateFrequency, Some(Wanted::Interval { secs: None, fallback_secs })) => {
                self.look(cx, *fallback_secs)
            }
            (Setting::LocationUpdate, Some(Wanted::Location { path, name })) => {
                self.write_location(desk, cx, path, name)
            }
            // The profile no longer asks for it.
            _ => Step::End(Ending::Completed { note: Some("nothing to set any more".to_owned()) }),
        }
    }

    /// What the device has now that it took the write, so that it is not brought again. Logins are in no tree.
    fn taken(&self, cx: &Context<'_>) -> Option<ParameterPatch> {
        let (path, value, ty) = match cx.wanted? {
            Wanted::Location { path, name } => (path.as_str().to_owned(), name.clone(), location_type(cx, path)),
            Wanted::Interval { secs, fallback_secs } => {
                let secs = secs.unwrap_or(*fallback_secs).to_string();
                (self.path(cx, "PeriodicInformInterval"), secs, XsdType::UnsignedInt)
            }
            Wanted::Login { .. } | Wanted::Configuration { .. } | Wanted::Transfer(_) | Wanted::NoTransfer(_) => {
                return None;
            }
        };
        Some(ParameterPatch { path: path.into(), value: Some((value.into(), ty)), writable: None, notification: None })
    }

    fn look(&mut self, cx: &Context<'_>, fallback_secs: u32) -> Step {
        let leaves = ["PeriodicInformEnable", "PeriodicInformInterval"];
        let paths: Vec<ReadPath> = leaves
            .iter()
            .filter_map(|leaf| ParameterPath::try_from(self.path(cx, leaf).as_str()).ok())
            .map(ReadPath::Parameter)
            .collect();
        let mut reader = Reader::of_paths(&paths, Pace::Subtrees, cx.limits.batch);
        match reader.next_call() {
            Some(request) => {
                self.stage = Stage::Look { reader, fallback_secs };
                Step::Call { request, save: Save::NotNeeded }
            }
            None => faults::complete(),
        }
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match (std::mem::take(&mut self.stage), answer) {
            (Stage::Names, answer) => self.listed(desk, cx, answer),
            (Stage::Look { mut reader, fallback_secs }, answer) => match reader.take_in(answer, desk.learned) {
                Err(trouble) => faults::react(desk.transaction, cx, trouble),
                Ok(()) => match reader.next_call() {
                    Some(request) => {
                        self.stage = Stage::Look { reader, fallback_secs };
                        Step::Call { request, save: Save::NotNeeded }
                    }
                    None => self.looked(desk, cx, &reader.results, fallback_secs),
                },
            },
            (Stage::Write, Answer::Response(Response::SetParameterValues(applied))) => {
                desk.learned.learn.extend(self.taken(cx));
                Step::End(Ending::Completed { note: set::note_of(*applied) })
            }
            (Stage::Write, Answer::Fault(fault)) => {
                faults::react(desk.transaction, cx, Trouble::Fault(set::refusal(fault)))
            }
            (Stage::Write, answer) => faults::react(desk.transaction, cx, Trouble::of(answer)),
            (Stage::Start, _) => faults::fail(faults::own("an answer came that nobody asked for")),
        }
    }

    /// Keeps the device's own interval where it has one.
    fn looked(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        results: &[VariableResult],
        fallback_secs: u32,
    ) -> Step {
        let value = |leaf: &str| {
            results.iter().find(|result| result.path.ends_with(leaf)).and_then(|result| result.value.as_deref())
        };
        let enabled = value(".PeriodicInformEnable").and_then(parse_boolean).unwrap_or(false);
        let interval = value(".PeriodicInformInterval").and_then(|text| text.trim().parse::<u32>().ok());
        match (enabled, interval) {
            (true, Some(1..)) => faults::complete(),
            (true | false, _) => self.write_interval(desk, cx, fallback_secs, value(".PeriodicInformEnable")),
        }
    }

    /// `enabled` is the device's own spelling of the switch, as far as it is known.
    fn write_interval(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, secs: u32, enabled: Option<&str>) -> Step {
        let secs = secs.to_string();
        let enable = set::lexical(XsdType::Boolean, "1", enabled, cx.boolean_form);
        let leaves = [
            ("PeriodicInformInterval", secs.as_str(), XsdType::UnsignedInt),
            ("PeriodicInformEnable", enable.as_str(), XsdType::Boolean),
        ];
        self.write(desk, cx, &leaves)
    }

    fn write_location(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, path: &ParameterPath, name: &str) -> Step {
        let ty = location_type(cx, path);
        self.send(desk, vec![ParameterValueStruct::new(path.as_str().to_owned(), name.to_owned(), ty)])
    }

    fn write(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, leaves: &[(&str, &str, XsdType)]) -> Step {
        let parameters = leaves
            .iter()
            .map(|(leaf, value, ty)| ParameterValueStruct::new(self.path(cx, leaf), (*value).to_owned(), *ty))
            .collect();
        self.send(desk, parameters)
    }

    fn send(&mut self, desk: &mut Desk<'_>, parameters: Vec<ParameterValueStruct<'static>>) -> Step {
        let parameter_key = desk.transaction.id.to_string().into();
        self.stage = Stage::Write;
        Step::Call {
            request: Request::SetParameterValues(SetParameterValues { parameters, parameter_key }),
            save: Save::NotNeeded,
        }
    }

    fn path(&self, cx: &Context<'_>, leaf: &str) -> String {
        format!("{}ManagementServer.{leaf}", self.found.unwrap_or(cx.data_model).root())
    }
}

/// As the device last reported it: vendors' own parameters are not always strings.
fn location_type(cx: &Context<'_>, path: &ParameterPath) -> XsdType {
    cx.known.get(path.as_str()).and_then(|known| known.ty).unwrap_or(XsdType::String)
}

/// What a setting writes or reads, below `ManagementServer.`.
fn leaves(setting: Setting) -> &'static [&'static str] {
    match setting {
        Setting::Credentials => &["Username", "Password"],
        Setting::ConnectionRequest => &["ConnectionRequestUsername", "ConnectionRequestPassword"],
        Setting::UpdateFrequency => &["PeriodicInformEnable", "PeriodicInformInterval"],
        Setting::LocationUpdate | Setting::FirmwareUpgrade => &[],
    }
}

/// Where a setting is in a tree with this root: for whoever looks up what is known of it.
pub(super) fn setting_paths(root: &str, setting: Setting) -> Vec<String> {
    leaves(setting).iter().map(|leaf| format!("{root}ManagementServer.{leaf}")).collect()
}
