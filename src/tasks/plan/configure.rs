//! acsd's own settings on a device: its logins and its periodic Inform interval.
//!
//! Writing the same value twice has the effect of once, and passwords cannot be read back: an unknown outcome is
//! resolved by writing again.

use crate::cwmp::message::acs::SetParameterValues;
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::device::Setting;
use crate::model::transaction::{VariableResult, Work};
use crate::types::path::{ParameterPath, ReadPath};
use crate::types::value::{XsdType, parse_boolean};

use super::faults::{self, Trouble};
use super::get::Reader;
use super::{Context, Desk, Ending, Save, Step, Wanted, set};

/// The procedure behind `Work::Configure`.
#[derive(Debug, Default)]
pub(super) struct Configure {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
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
                let known = cx.known.get(path(cx, "PeriodicInformEnable").as_str());
                self.write_interval(desk, cx, *secs, known.and_then(|known| known.value.as_deref()))
            }
            (Setting::UpdateFrequency, Some(Wanted::Interval { secs: None, fallback_secs })) => {
                self.look(cx, *fallback_secs)
            }
            // The profile no longer asks for it.
            _ => Step::End(Ending::Completed { note: Some("nothing to set any more".to_owned()) }),
        }
    }

    fn look(&mut self, cx: &Context<'_>, fallback_secs: u32) -> Step {
        let leaves = ["PeriodicInformEnable", "PeriodicInformInterval"];
        let paths: Vec<ReadPath> = leaves
            .iter()
            .filter_map(|leaf| ParameterPath::try_from(path(cx, leaf).as_str()).ok())
            .map(ReadPath::Parameter)
            .collect();
        let mut reader = Reader::of_paths(&paths, cx.limits.batch);
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

    fn write(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, leaves: &[(&str, &str, XsdType)]) -> Step {
        let parameters = leaves
            .iter()
            .map(|(leaf, value, ty)| ParameterValueStruct::new(path(cx, leaf), (*value).to_owned(), *ty))
            .collect();
        let parameter_key = desk.transaction.id.to_string().into();
        self.stage = Stage::Write;
        Step::Call {
            request: Request::SetParameterValues(SetParameterValues { parameters, parameter_key }),
            save: Save::NotNeeded,
        }
    }
}

fn path(cx: &Context<'_>, leaf: &str) -> String {
    format!("{}ManagementServer.{leaf}", cx.data_model.root())
}
