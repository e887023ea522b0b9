//! `Inform` (TR-069 A.3.3.1) and `Kicked` (A.4.2.1).

use crate::cwmp::codec::DecodeError;
use crate::cwmp::codec::reader::XmlReader;
use crate::cwmp::codec::writer::XmlWriter;
use crate::cwmp::message::Text;
use crate::cwmp::message::cpe::{Kicked, KickedResponse};
use crate::cwmp::message::inform::{DeviceIdStruct, EventStruct, Inform};
use crate::types::event::EventCode;

use super::parameters::parameter_values;

pub(super) fn inform<'a>(xml: &mut XmlReader<'a, '_>) -> Result<Inform<'a>, DecodeError> {
    let mut it = Inform {
        device_id: DeviceIdStruct::default(),
        events: Vec::new(),
        max_envelopes: 1,
        current_time: Text::default(),
        retry_count: 0,
        parameters: Vec::new(),
    };
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "DeviceId" => device_id(xml, &mut it.device_id)?,
            "Event" => events(xml, &mut it.events)?,
            "MaxEnvelopes" => it.max_envelopes = xml.number()?.unwrap_or(1),
            "CurrentTime" => it.current_time = xml.trimmed()?,
            "RetryCount" => it.retry_count = xml.number_or_zero()?,
            "ParameterList" => parameter_values(xml, &mut it.parameters)?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

fn device_id<'a>(xml: &mut XmlReader<'a, '_>, it: &mut DeviceIdStruct<'a>) -> Result<(), DecodeError> {
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Manufacturer" => it.manufacturer = xml.trimmed()?,
            "OUI" => it.oui = xml.trimmed()?,
            "ProductClass" => it.product_class = xml.trimmed()?,
            "SerialNumber" => it.serial_number = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(())
}

fn events<'a>(xml: &mut XmlReader<'a, '_>, list: &mut Vec<EventStruct<'a>>) -> Result<(), DecodeError> {
    while xml.child()?.is_some() {
        let mut raw_code = Text::default();
        let mut command_key = Text::default();
        while let Some(tag) = xml.child()? {
            match tag.local() {
                "EventCode" => raw_code = xml.trimmed()?,
                "CommandKey" => command_key = xml.trimmed()?,
                _ => xml.skip()?,
            }
        }
        // One without a code is no event (quirk 47).
        if !raw_code.is_empty() {
            let code = EventCode::parse(&raw_code);
            xml.push(list, EventStruct { code, raw_code, command_key })?;
        }
    }
    Ok(())
}

pub(super) fn write_inform(xml: &mut XmlWriter<'_>, it: &Inform<'_>) {
    xml.element("DeviceId", |xml| {
        xml.text("Manufacturer", &it.device_id.manufacturer);
        xml.text("OUI", &it.device_id.oui);
        xml.text("ProductClass", &it.device_id.product_class);
        xml.text("SerialNumber", &it.device_id.serial_number);
    });
    xml.array("Event", "cwmp:EventStruct", &it.events, |xml, event| {
        xml.element("EventStruct", |xml| {
            xml.text("EventCode", &event.raw_code);
            xml.text("CommandKey", &event.command_key);
        });
    });
    xml.number("MaxEnvelopes", it.max_envelopes);
    xml.text("CurrentTime", &it.current_time);
    xml.number("RetryCount", it.retry_count);
    xml.parameter_values(&it.parameters);
}

pub(super) fn kicked<'a>(xml: &mut XmlReader<'a, '_>) -> Result<Kicked<'a>, DecodeError> {
    let mut it = Kicked::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Command" => it.command = xml.trimmed()?,
            "Referer" => it.referer = xml.trimmed()?,
            "Arg" => it.arg = xml.trimmed()?,
            "Next" => it.next = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_kicked(xml: &mut XmlWriter<'_>, it: &Kicked<'_>) {
    xml.text("Command", &it.command);
    xml.text("Referer", &it.referer);
    xml.text("Arg", &it.arg);
    xml.text("Next", &it.next);
}

pub(super) fn kicked_response<'a>(xml: &mut XmlReader<'a, '_>) -> Result<KickedResponse<'a>, DecodeError> {
    let mut it = KickedResponse::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "NextURL" => it.next_url = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}
