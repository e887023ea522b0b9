//! `set`: writing parameters all or none, each with the device's own type; read back when the outcome is unknown.

use std::collections::HashMap;

use crate::cwmp::emission::BooleanForm;
use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{Applied, SetParameterValues};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Fault, Request, Response};
use crate::cwmp::session::Answer;
use crate::model::device::{Parameter, ParameterPatch};
use crate::model::procedure::InFlight;
use crate::model::transaction::{Assignment, TransactionFault, TypeHint, VariableResult};
use crate::types::path::{ReadPath, hides_its_value};
use crate::types::value::{ValueKind, XsdType, parse_boolean, same_meaning};

use super::faults::{self, Trouble};
use super::get::{Pace, Reader};
use super::{Context, Desk, Ending, Save, Step};

/// The procedure `set`.
#[derive(Debug, Default)]
pub(super) struct Set {
    stage: Stage,
    /// Whether the write went out in this session: it is not repeated in the same one.
    wrote: bool,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    /// Types that nobody has seen yet are read.
    Types(Reader),
    /// The write is out.
    Write(Vec<XsdType>),
    /// An earlier write's outcome is unknown: the values are read back.
    Confirm(Reader),
}

impl Set {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        if desk.transaction.progress.in_flight == Some(InFlight::Set) {
            return self.confirm(desk, cx);
        }
        let reread = desk.transaction.progress.reread_types;
        let unseen: Vec<ReadPath> = assignments(desk)
            .iter()
            .filter(|assignment| resolve(assignment, cx.known, None).is_none() || reread)
            .map(|assignment| ReadPath::Parameter(assignment.path.clone()))
            .collect();
        let mut reader = Reader::of_paths(&unseen, Pace::of(desk.transaction), cx.limits.batch);
        match reader.next_call() {
            Some(request) => {
                self.stage = Stage::Types(reader);
                Step::Call { request, save: Save::NotNeeded }
            }
            None => self.write(desk, cx, &[]),
        }
    }

    /// Reads the values back: whether the write was carried out is unknown.
    fn confirm(&mut self, desk: &Desk<'_>, cx: &Context<'_>) -> Step {
        let mut reader = Reader::of_paths(&paths(desk), Pace::Subtrees, cx.limits.batch);
        match reader.next_call() {
            Some(request) => {
                self.stage = Stage::Confirm(reader);
                Step::Call { request, save: Save::NotNeeded }
            }
            None => faults::complete(),
        }
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match std::mem::take(&mut self.stage) {
            Stage::Start => faults::fail(faults::own("an answer came that nobody asked for")),
            Stage::Types(mut reader) => match reader.take_in(answer, desk.learned) {
                Err(trouble) => faults::react(desk.transaction, cx, trouble),
                Ok(()) => match reader.next_call() {
                    Some(request) => {
                        self.stage = Stage::Types(reader);
                        Step::Call { request, save: Save::NotNeeded }
                    }
                    None => self.write(desk, cx, &reader.results),
                },
            },
            Stage::Confirm(mut reader) => match reader.take_in(answer, desk.learned) {
                Err(trouble) => faults::react_unresolved(desk.transaction, cx, trouble),
                Ok(()) => match reader.next_call() {
                    Some(request) => {
                        self.stage = Stage::Confirm(reader);
                        Step::Call { request, save: Save::NotNeeded }
                    }
                    None => self.confirmed(desk, cx, &reader.results),
                },
            },
            Stage::Write(types) => self.written(desk, cx, &types, answer),
        }
    }

    /// Sends the write, once every type is known.
    fn write(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, read: &[VariableResult]) -> Step {
        let seen: HashMap<&str, &VariableResult> = read.iter().map(|result| (result.path.as_ref(), result)).collect();
        let mut types = Vec::new();
        let mut parameters = Vec::new();
        let mut refused = Vec::new();
        for (variable, assignment) in (0_u32..).zip(assignments(desk)) {
            let read = seen.get(assignment.path.as_str()).copied();
            if let Some(fault) = read.and_then(|result| result.fault.clone()) {
                refused.push(result_of(variable, assignment, None, Some(fault)));
                continue;
            }
            let ty = resolve(assignment, cx.known, read).unwrap_or_default();
            if let Err(reason) = ty.check(&assignment.value) {
                let fault = faults::own(format!("the value {reason}"));
                refused.push(result_of(variable, assignment, Some(ty), Some(fault)));
                continue;
            }
            let known = read
                .and_then(|result| result.value.as_deref())
                .or_else(|| cx.known.get(assignment.path.as_str()).and_then(|parameter| parameter.value.as_deref()));
            let value = lexical(ty, &assignment.value, known, cx.boolean_form);
            parameters.push(ParameterValueStruct::new(assignment.path.as_str().to_owned(), value, ty));
            types.push(ty);
        }
        // All or none: nothing is sent when one of them cannot work.
        let named = |result: &VariableResult| Some(faults::named(&result.path, result.fault.clone()?));
        if let Some(fault) = refused.iter().find_map(named) {
            *desk.results = refused;
            return faults::fail(fault);
        }
        desk.transaction.progress.in_flight = Some(InFlight::Set);
        desk.transaction.progress.reread_types = false;
        let parameter_key = desk.transaction.id.to_string().into();
        self.stage = Stage::Write(types);
        self.wrote = true;
        Step::Call {
            request: Request::SetParameterValues(SetParameterValues { parameters, parameter_key }),
            save: Save::Before,
        }
    }

    /// The values have been read back: either they are what was to be written, or the write is repeated.
    fn confirmed(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, read: &[VariableResult]) -> Step {
        let seen: HashMap<&str, &VariableResult> = read.iter().map(|result| (result.path.as_ref(), result)).collect();
        let holds = assignments(desk).iter().all(|assignment| {
            seen.get(assignment.path.as_str()).is_some_and(|result| {
                let value = result.value.as_deref().unwrap_or_default();
                result.fault.is_none() && same_meaning(result.ty.unwrap_or_default(), value, &assignment.value)
            })
        });
        desk.transaction.progress.in_flight = None;
        if !holds && self.wrote {
            let words = "the device did not answer the write, and does not have the values";
            return faults::react(desk.transaction, cx, Trouble::NoAnswer(words));
        }
        if !holds {
            return self.write(desk, cx, read);
        }
        *desk.results = (0_u32..)
            .zip(assignments(desk))
            .map(|(variable, assignment)| {
                let ty = seen.get(assignment.path.as_str()).and_then(|result| result.ty);
                result_of(variable, assignment, ty, None)
            })
            .collect();
        Step::End(Ending::Completed { note: Some("confirmed by reading back".to_owned()) })
    }

    /// The answer to the write itself.
    fn written(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, types: &[XsdType], answer: &Answer<'_>) -> Step {
        match answer {
            Answer::Response(Response::SetParameterValues(applied)) => {
                let mut results = Vec::new();
                for ((variable, assignment), ty) in (0_u32..).zip(assignments(desk)).zip(types) {
                    results.push(result_of(variable, assignment, Some(*ty), None));
                }
                for result in results.iter().filter(|result| !hides_its_value(&result.path)) {
                    desk.learned.learn.push(ParameterPatch {
                        path: result.path.clone(),
                        value: result.value.clone().zip(result.ty),
                        writable: Some(true),
                        notification: None,
                    });
                }
                *desk.results = results;
                Step::End(Ending::Completed { note: note_of(*applied) })
            }
            Answer::Fault(fault) => {
                let results: Vec<_> = (0_u32..)
                    .zip(assignments(desk))
                    .zip(types)
                    .map(|((variable, assignment), ty)| {
                        result_of(variable, assignment, Some(*ty), fault_of_parameter(fault, assignment.path.as_str()))
                    })
                    .collect();
                for gone in results.iter().filter(|result| is_invalid_name(result)) {
                    faults::forget(desk.learned, &gone.path);
                }
                *desk.results = results;
                desk.transaction.progress.in_flight = None;
                desk.transaction.progress.reread_types |=
                    fault.parameters.iter().any(|parameter| parameter.code == CpeFaultCode::INVALID_TYPE);
                faults::react(desk.transaction, cx, Trouble::Fault(refusal(fault)))
            }
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => {
                // Whether it was applied is unknown, but the session goes on: the device is asked at once.
                self.confirm(desk, cx)
            }
        }
    }
}

/// What a refused write as a whole comes to: the permanent fault of a parameter if there is one, else any parameter's.
/// The outer code of a `SetParameterValues` fault is 9003 whatever the reason (TR-069 A.3.2.1); some CPEs put another one
/// there, and one that cannot be read counts as 9002: the parameter's permanent fault is decisive then too.
pub(super) fn refusal(fault: &Fault<'_>) -> TransactionFault {
    use crate::cwmp::fault::Remedy;
    let permanent = fault.parameters.iter().find(|parameter| parameter.code.remedy() == Remedy::Permanent);
    let whole = faults::fault_of(fault);
    match (permanent, fault.parameters.first()) {
        (Some(parameter), _) => TransactionFault { code: parameter.code.0, ..whole },
        (None, Some(parameter)) if fault.code == CpeFaultCode::INVALID_ARGUMENTS => {
            TransactionFault { code: parameter.code.0, ..whole }
        }
        (None, _) => whole,
    }
}

/// "Applies later" is not "done", and the operator is told.
pub(super) fn note_of(applied: Applied) -> Option<String> {
    match applied {
        Applied::Now => None,
        Applied::Later => Some("accepted; the device applies it later, possibly after a reboot".to_owned()),
    }
}

/// What the fault says of one parameter.
pub(super) fn fault_of_parameter(fault: &Fault<'_>, path: &str) -> Option<TransactionFault> {
    let parameter = fault.parameters.iter().find(|parameter| parameter.name.trim() == path)?;
    Some(TransactionFault { code: parameter.code.0, message: faults::words(parameter.code, &parameter.message) })
}

fn is_invalid_name(result: &VariableResult) -> bool {
    result.fault.as_ref().is_some_and(|fault| fault.code == CpeFaultCode::INVALID_NAME.0)
}

fn assignments<'d>(desk: &Desk<'d>) -> &'d [Assignment<String>] {
    &desk.clear.assignments
}

fn paths(desk: &Desk<'_>) -> Vec<ReadPath> {
    assignments(desk).iter().map(|assignment| ReadPath::Parameter(assignment.path.clone())).collect()
}

/// What became of a parameter. A secret is not among what is told.
fn result_of(
    variable: u32,
    assignment: &Assignment<String>,
    ty: Option<XsdType>,
    fault: Option<TransactionFault>,
) -> VariableResult {
    VariableResult {
        variable,
        path: assignment.path.as_str().into(),
        value: (!assignment.path.hides_its_value()).then(|| assignment.value.as_str().into()),
        ty,
        instance_number: None,
        fault,
    }
}

/// The type to write with: what the operator said exactly, else what the device last said.
fn resolve(
    assignment: &Assignment<String>,
    known: &HashMap<Box<str>, Parameter>,
    read: Option<&VariableResult>,
) -> Option<XsdType> {
    let reported = read.and_then(|result| result.ty).or_else(|| known.get(assignment.path.as_str())?.ty);
    choose_type(assignment.ty, reported)
}

/// Reconciles the operator's hint with what the device reported; `None`: the device has to be asked first.
pub(super) fn choose_type(hint: Option<TypeHint>, reported: Option<XsdType>) -> Option<XsdType> {
    match (hint, reported) {
        (Some(TypeHint::Exact(ty)), _) => Some(ty),
        // The device knows its own parameter better than the operator's rough word for it.
        (Some(TypeHint::Kind(_)) | None, Some(ty)) => Some(ty),
        (Some(TypeHint::Kind(ValueKind::Integer | ValueKind::Boolean | ValueKind::String)) | None, None) => None,
    }
}

/// The value as it goes out: booleans in the device's own form, numbers without blanks.
pub(super) fn lexical(ty: XsdType, value: &str, known: Option<&str>, form: BooleanForm) -> String {
    match ty {
        XsdType::Boolean => {
            let Some(on) = parse_boolean(value) else { return value.to_owned() };
            let words = match form {
                BooleanForm::Word => true,
                BooleanForm::Digit => false,
                BooleanForm::Learned => known.is_some_and(|known| known.trim().len() > 1),
            };
            let text = match (words, on) {
                (true, true) => "true",
                (true, false) => "false",
                (false, true) => "1",
                (false, false) => "0",
            };
            text.to_owned()
        }
        XsdType::Int | XsdType::UnsignedInt | XsdType::Long | XsdType::UnsignedLong | XsdType::Decimal => {
            value.trim().to_owned()
        }
        XsdType::String | XsdType::DateTime | XsdType::Base64 | XsdType::Base64Binary | XsdType::HexBinary => {
            value.to_owned()
        }
    }
}
