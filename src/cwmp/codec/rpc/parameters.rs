//! Parameters and objects (TR-069 A.3.2.1 to A.3.2.7), and `GetRPCMethods` (A.3.1.1).

use std::borrow::Cow;

use crate::cwmp::codec::DecodeError;
use crate::cwmp::codec::reader::XmlReader;
use crate::cwmp::codec::writer::XmlWriter;
use crate::cwmp::message::Text;
use crate::cwmp::message::acs::{
    AddObject, AddObjectResponse, Applied, DeleteObject, GetParameterAttributes, GetParameterNames, GetParameterValues,
    MethodList, ParameterAttributeStruct, ParameterAttributes, ParameterInfoStruct, ParameterNames, ParameterValues,
    SetParameterAttributes, SetParameterAttributesStruct, SetParameterValues,
};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::types::value::XsdType;

/// Adds the entries of a list of names and typed values. An entry without a name is none.
pub(super) fn parameter_values<'a>(
    xml: &mut XmlReader<'a, '_>,
    list: &mut Vec<ParameterValueStruct<'a>>,
) -> Result<(), DecodeError> {
    while xml.child()?.is_some() {
        let mut it = ParameterValueStruct::new("", "", XsdType::String);
        while let Some(tag) = xml.child()? {
            match tag.local() {
                "Name" => it.name = xml.trimmed()?,
                "Value" => {
                    it.ty = tag.xsi_type().map(XsdType::parse).unwrap_or_default();
                    it.value = if it.ty == XsdType::String { xml.text()? } else { xml.trimmed()? };
                }
                _ => xml.skip()?,
            }
        }
        if !it.name.is_empty() {
            xml.push(list, it)?;
        }
    }
    Ok(())
}

pub(super) fn set_values<'a>(xml: &mut XmlReader<'a, '_>) -> Result<SetParameterValues<'a>, DecodeError> {
    let mut it = SetParameterValues::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ParameterList" => parameter_values(xml, &mut it.parameters)?,
            "ParameterKey" => it.parameter_key = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_set_values(xml: &mut XmlWriter<'_>, it: &SetParameterValues<'_>) {
    xml.parameter_values(&it.parameters);
    write_parameter_key(xml, &it.parameter_key);
}

/// `ParameterKey`, unless the profile leaves it out (quirk 58).
fn write_parameter_key(xml: &mut XmlWriter<'_>, key: &str) {
    if !xml.emission.no_parameter_key {
        xml.text("ParameterKey", key);
    }
}

/// `SetParameterValuesResponse` and `DeleteObjectResponse`.
pub(super) fn applied(xml: &mut XmlReader<'_, '_>) -> Result<Applied, DecodeError> {
    let mut status = Applied::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Status" => status = xml.status()?,
            _ => xml.skip()?,
        }
    }
    Ok(status)
}

pub(super) fn get_values<'a>(xml: &mut XmlReader<'a, '_>) -> Result<GetParameterValues<'a>, DecodeError> {
    Ok(GetParameterValues { names: named_strings(xml, "ParameterNames")? })
}

pub(super) fn get_attributes<'a>(xml: &mut XmlReader<'a, '_>) -> Result<GetParameterAttributes<'a>, DecodeError> {
    Ok(GetParameterAttributes { names: named_strings(xml, "ParameterNames")? })
}

pub(super) fn method_list<'a>(xml: &mut XmlReader<'a, '_>) -> Result<MethodList<'a>, DecodeError> {
    Ok(MethodList { methods: named_strings(xml, "MethodList")? })
}

/// The strings of the one list that a message holds.
fn named_strings<'a>(xml: &mut XmlReader<'a, '_>, name: &str) -> Result<Vec<Text<'a>>, DecodeError> {
    let mut list = Vec::new();
    while let Some(tag) = xml.child()? {
        if tag.local() == name {
            xml.strings(&mut list)?;
        } else {
            xml.skip()?;
        }
    }
    Ok(list)
}

pub(super) fn values<'a>(xml: &mut XmlReader<'a, '_>) -> Result<ParameterValues<'a>, DecodeError> {
    let mut it = ParameterValues::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ParameterList" => parameter_values(xml, &mut it.parameters)?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn get_names<'a>(xml: &mut XmlReader<'a, '_>) -> Result<GetParameterNames<'a>, DecodeError> {
    let mut it = GetParameterNames::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ParameterPath" => it.path = xml.trimmed()?,
            "NextLevel" => it.next_level = xml.boolean()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_get_names(xml: &mut XmlWriter<'_>, it: &GetParameterNames<'_>) {
    xml.text("ParameterPath", &it.path);
    xml.boolean("NextLevel", it.next_level);
}

pub(super) fn names<'a>(xml: &mut XmlReader<'a, '_>) -> Result<ParameterNames<'a>, DecodeError> {
    let mut parameters = Vec::new();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ParameterList" => {
                while xml.child()?.is_some() {
                    let mut it = ParameterInfoStruct::default();
                    while let Some(tag) = xml.child()? {
                        match tag.local() {
                            "Name" => it.name = xml.trimmed()?,
                            "Writable" => it.writable = xml.boolean()?,
                            _ => xml.skip()?,
                        }
                    }
                    if !it.name.is_empty() {
                        xml.push(&mut parameters, it)?;
                    }
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(ParameterNames { parameters })
}

pub(super) fn write_names(xml: &mut XmlWriter<'_>, it: &ParameterNames<'_>) {
    xml.array("ParameterList", "cwmp:ParameterInfoStruct", &it.parameters, |xml, parameter| {
        xml.element("ParameterInfoStruct", |xml| {
            xml.text("Name", &parameter.name);
            xml.boolean("Writable", parameter.writable);
        });
    });
}

pub(super) fn set_attributes<'a>(xml: &mut XmlReader<'a, '_>) -> Result<SetParameterAttributes<'a>, DecodeError> {
    let mut parameters = Vec::new();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ParameterList" => {
                while xml.child()?.is_some() {
                    let entry = set_attributes_struct(xml)?;
                    xml.push(&mut parameters, entry)?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(SetParameterAttributes { parameters })
}

fn set_attributes_struct<'a>(xml: &mut XmlReader<'a, '_>) -> Result<SetParameterAttributesStruct<'a>, DecodeError> {
    let mut it = SetParameterAttributesStruct::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Name" => it.name = xml.trimmed()?,
            "NotificationChange" => it.notification_change = xml.boolean()?,
            "Notification" => it.notification = xml.small_number()?,
            "AccessListChange" => it.access_list_change = xml.boolean()?,
            "AccessList" => xml.strings(&mut it.access_list)?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_set_attributes(xml: &mut XmlWriter<'_>, it: &SetParameterAttributes<'_>) {
    xml.array("ParameterList", "cwmp:SetParameterAttributesStruct", &it.parameters, |xml, parameter| {
        xml.element("SetParameterAttributesStruct", |xml| {
            xml.text("Name", &parameter.name);
            xml.boolean("NotificationChange", parameter.notification_change);
            // A number always, even where nothing is to change: strict agents read it anyway.
            xml.number("Notification", parameter.notification);
            xml.boolean("AccessListChange", parameter.access_list_change);
            xml.strings("AccessList", &parameter.access_list);
        });
    });
}

pub(super) fn attributes<'a>(xml: &mut XmlReader<'a, '_>) -> Result<ParameterAttributes<'a>, DecodeError> {
    let mut parameters = Vec::new();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ParameterList" => {
                while xml.child()?.is_some() {
                    let mut it = ParameterAttributeStruct::default();
                    while let Some(tag) = xml.child()? {
                        match tag.local() {
                            "Name" => it.name = xml.trimmed()?,
                            "Notification" => it.notification = xml.small_number()?,
                            "AccessList" => xml.strings(&mut it.access_list)?,
                            _ => xml.skip()?,
                        }
                    }
                    xml.push(&mut parameters, it)?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(ParameterAttributes { parameters })
}

pub(super) fn write_attributes(xml: &mut XmlWriter<'_>, it: &ParameterAttributes<'_>) {
    xml.array("ParameterList", "cwmp:ParameterAttributeStruct", &it.parameters, |xml, parameter| {
        xml.element("ParameterAttributeStruct", |xml| {
            xml.text("Name", &parameter.name);
            xml.number("Notification", parameter.notification);
            xml.strings("AccessList", &parameter.access_list);
        });
    });
}

pub(super) fn add_object<'a>(xml: &mut XmlReader<'a, '_>) -> Result<AddObject<'a>, DecodeError> {
    let (object_name, parameter_key) = object(xml)?;
    Ok(AddObject { object_name, parameter_key })
}

pub(super) fn delete_object<'a>(xml: &mut XmlReader<'a, '_>) -> Result<DeleteObject<'a>, DecodeError> {
    let (object_name, parameter_key) = object(xml)?;
    Ok(DeleteObject { object_name, parameter_key })
}

/// `ObjectName` and `ParameterKey`.
fn object<'a>(xml: &mut XmlReader<'a, '_>) -> Result<(Text<'a>, Text<'a>), DecodeError> {
    let (mut name, mut key) = (Cow::Borrowed(""), Cow::Borrowed(""));
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "ObjectName" => name = xml.trimmed()?,
            "ParameterKey" => key = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok((name, key))
}

pub(super) fn write_object(xml: &mut XmlWriter<'_>, name: &str, key: &str) {
    xml.text("ObjectName", name);
    write_parameter_key(xml, key);
}

pub(super) fn object_added(xml: &mut XmlReader<'_, '_>) -> Result<AddObjectResponse, DecodeError> {
    let mut it = AddObjectResponse::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "InstanceNumber" => it.instance_number = xml.number_or_zero()?,
            "Status" => it.status = xml.status()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}
