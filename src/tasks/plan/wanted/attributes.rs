//! Notification attributes: read, and set where they differ (TR-069 A.3.2.4 and A.3.2.5).

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::cwmp::fault::{CpeFaultCode, Remedy};
use crate::cwmp::message::acs::{
    GetParameterAttributes, ParameterAttributes, SetParameterAttributes, SetParameterAttributesStruct,
};
use crate::cwmp::message::{Fault, Request, Response};
use crate::cwmp::session::Answer;
use crate::model::device::{ParameterPatch, TreePatch};
use crate::model::wanted::WantedAttribute;
use crate::types::path::ParameterPath;

use super::super::faults::{self, Trouble};
use super::super::get::mentions;

/// The wanted attributes of a device, and how far they are.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// To be read, a call each.
    reads: VecDeque<Vec<WantedAttribute>>,
    /// To be set, a call each.
    sets: VecDeque<Vec<WantedAttribute>>,
    /// In the call that is out.
    current: Vec<WantedAttribute>,
    /// Most names of a call.
    batch: usize,
    /// What was set.
    pub(super) done: Vec<ParameterPath>,
}

impl Attributes {
    pub(super) fn new(wanted: &[WantedAttribute], batch: usize) -> Self {
        // The last wish for a parameter counts.
        let is_last = |(at, attribute): &(usize, &WantedAttribute)| {
            !wanted.iter().skip(at + 1).any(|later| later.path == attribute.path)
        };
        let wanted: Vec<WantedAttribute> =
            wanted.iter().enumerate().filter(is_last).map(|(_, attribute)| attribute.clone()).collect();
        let batch = batch.max(1);
        Self { reads: wanted.chunks(batch).map(<[_]>::to_vec).collect(), batch, ..Self::default() }
    }

    /// The next read, or `None` when all is read.
    pub(super) fn next_read(&mut self) -> Option<Request<'static>> {
        self.current = self.reads.pop_front()?;
        let names = self.current.iter().map(|wanted| Cow::Owned(wanted.path.as_str().to_owned())).collect();
        Some(Request::GetParameterAttributes(GetParameterAttributes { names }))
    }

    /// Takes in the answer to a read.
    pub(super) fn take_read(&mut self, answer: &Answer<'_>, learned: &mut TreePatch) -> Result<(), Trouble> {
        let current = std::mem::take(&mut self.current);
        match answer {
            Answer::Response(Response::GetParameterAttributes(attributes)) => {
                self.compare(current, attributes, learned);
                Ok(())
            }
            Answer::Fault(fault) => narrow(current, fault, &mut self.reads, learned),
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => Err(Trouble::of(answer)),
        }
    }

    fn compare(&mut self, current: Vec<WantedAttribute>, read: &ParameterAttributes<'_>, learned: &mut TreePatch) {
        let device: HashMap<&str, u8> =
            read.parameters.iter().map(|attribute| (attribute.name.as_ref(), attribute.notification)).collect();
        learned.learn.extend(read.parameters.iter().map(|read| patch(&read.name, read.notification)));
        for wanted in current {
            if device.get(wanted.path.as_str()) == Some(&wanted.notification) {
                continue;
            }
            match self.sets.back_mut() {
                Some(call) if call.len() < self.batch => call.push(wanted),
                _ => self.sets.push_back(vec![wanted]),
            }
        }
    }

    /// Whether any has to be set.
    pub(super) fn differ(&self) -> bool {
        !self.sets.is_empty()
    }

    /// The next call that sets some, or `None` when all are set.
    pub(super) fn next_set(&mut self) -> Option<Request<'static>> {
        self.current = self.sets.pop_front()?;
        let parameters = self
            .current
            .iter()
            .map(|wanted| SetParameterAttributesStruct {
                name: Cow::Owned(wanted.path.as_str().to_owned()),
                notification_change: true,
                notification: wanted.notification,
                access_list_change: false,
                access_list: Vec::new(),
            })
            .collect();
        Some(Request::SetParameterAttributes(SetParameterAttributes { parameters }))
    }

    /// Takes in the answer to a call that sets some.
    pub(super) fn take_set(&mut self, answer: &Answer<'_>, learned: &mut TreePatch) -> Result<(), Trouble> {
        let current = std::mem::take(&mut self.current);
        match answer {
            Answer::Response(Response::SetParameterAttributes) => {
                learned.learn.extend(current.iter().map(|set| patch(set.path.as_str(), set.notification)));
                self.done.extend(current.into_iter().map(|set| set.path));
                Ok(())
            }
            Answer::Fault(fault) => narrow(current, fault, &mut self.sets, learned),
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => Err(Trouble::of(answer)),
        }
    }
}

/// Splits a refused call until the attribute that it is about stands alone: the fault has no list of parameters.
fn narrow(
    mut refused: Vec<WantedAttribute>,
    fault: &Fault<'_>,
    calls: &mut VecDeque<Vec<WantedAttribute>>,
    learned: &mut TreePatch,
) -> Result<(), Trouble> {
    let code = fault.code;
    let may_split = (code.remedy() == Remedy::Permanent && code != CpeFaultCode::METHOD_NOT_SUPPORTED)
        || code == CpeFaultCode::RESOURCES_EXCEEDED;
    if may_split && refused.len() > 1 {
        match refused.iter().position(|wanted| mentions(&fault.message, wanted.path.as_str())) {
            Some(at) => {
                let named = refused.remove(at);
                calls.push_front(refused);
                calls.push_front(vec![named]);
            }
            None => {
                let second = refused.split_off(refused.len() / 2);
                calls.push_front(second);
                calls.push_front(refused);
            }
        }
        return Ok(());
    }
    let whole = faults::fault_of(fault);
    let whole = match refused.as_slice() {
        [only] => {
            if code == CpeFaultCode::INVALID_NAME {
                faults::forget(learned, only.path.as_str());
            }
            faults::named(only.path.as_str(), whole)
        }
        _ => whole,
    };
    Err(Trouble::Fault(whole))
}

fn patch(path: &str, notification: u8) -> ParameterPatch {
    ParameterPatch { path: path.into(), value: None, writable: None, notification: Some(notification) }
}
