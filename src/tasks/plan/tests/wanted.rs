//! `sync`, `reconf` and `device_factory` against a scripted device.

mod attributes;
mod faults;
mod parameters;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::transaction::Work;
use crate::model::wanted::{
    ConfigurationMark, Effective, WantedAttribute, WantedConfiguration, WantedObject, WantedParameter, WantedValue,
};
use crate::tasks::plan::{Attributes, Ending, Wanted};

use super::device::Device;
use super::world::{World, object, parameter};

const GET: &str = "GetParameterValues";
const SET: &str = "SetParameterValues";
const LIST: &str = "GetParameterNames";
const ADD: &str = "AddObject";

/// The configuration that the tests' devices were last brought to, and the one that is wanted of them.
const MARK: ConfigurationMark = ConfigurationMark(1);

pub(super) fn parameters(wanted: &[(&str, &str)]) -> WantedConfiguration<String> {
    let parameters = wanted
        .iter()
        .map(|(path, value)| WantedParameter { path: parameter(path), value: (*value).to_owned(), ty: None })
        .collect();
    WantedConfiguration { parameters, ..WantedConfiguration::default() }
}

pub(super) fn row(table: &str, key: &[(&str, &str)], parameters: &[(&str, &str)]) -> WantedObject<String> {
    let values = |leaves: &[(&str, &str)]| -> BTreeMap<String, WantedValue<String>> {
        let value = |text: &str| WantedValue { value: text.to_owned(), ty: None };
        leaves.iter().map(|(leaf, text)| ((*leaf).to_owned(), value(text))).collect()
    };
    WantedObject { table: object(table), key: values(key), parameters: values(parameters) }
}

fn attributes(wanted: &[(&str, u8)]) -> Vec<WantedAttribute> {
    wanted
        .iter()
        .map(|(path, notification)| WantedAttribute { path: parameter(path), notification: *notification })
        .collect()
}

/// A device that was last brought to `applied`.
pub(super) fn wanted(configuration: WantedConfiguration<String>, applied: Option<ConfigurationMark>) -> Wanted {
    let effective = Arc::new(Effective { configuration, mark: MARK });
    Wanted::Configuration { effective, applied, attributes: Attributes::Allowed }
}

/// A device whose secrets are up to date.
fn world(device: Device, work: Work, configuration: WantedConfiguration<String>) -> World {
    let mut world = World::new(device, work);
    world.wanted = Some(wanted(configuration, Some(MARK)));
    world
}

fn note(world: &World) -> String {
    match world.ending() {
        Ending::Completed { note } => note.unwrap_or_default(),
        Ending::Failed(fault) => panic!("failed: {fault:?}"),
    }
}
