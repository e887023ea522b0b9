//! Vouchers and options (TR-069 A.4.1.3, A.4.1.4; deprecated).

use crate::cwmp::codec::DecodeError;
use crate::cwmp::codec::reader::XmlReader;
use crate::cwmp::codec::writer::XmlWriter;
use crate::cwmp::message::acs::{GetOptions, OptionList, OptionStruct, SetVouchers};
use crate::types::value::parse_boolean;

pub(super) fn set_vouchers<'a>(xml: &mut XmlReader<'a, '_>) -> Result<SetVouchers<'a>, DecodeError> {
    let mut it = SetVouchers::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "VoucherList" => xml.strings(&mut it.vouchers)?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_set_vouchers(xml: &mut XmlWriter<'_>, it: &SetVouchers<'_>) {
    let array_type = format!("{}:base64", xml.soap.encoding);
    xml.array("VoucherList", &array_type, &it.vouchers, |xml, voucher| xml.text("base64", voucher));
}

pub(super) fn get<'a>(xml: &mut XmlReader<'a, '_>) -> Result<GetOptions<'a>, DecodeError> {
    let mut it = GetOptions::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "OptionName" => it.option_name = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn list<'a>(xml: &mut XmlReader<'a, '_>) -> Result<OptionList<'a>, DecodeError> {
    let mut options = Vec::new();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "OptionList" => {
                while xml.child()?.is_some() {
                    let option = option(xml)?;
                    xml.push(&mut options, option)?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(OptionList { options })
}

fn option<'a>(xml: &mut XmlReader<'a, '_>) -> Result<OptionStruct<'a>, DecodeError> {
    let mut it = OptionStruct::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "OptionName" => it.option_name = xml.trimmed()?,
            "VoucherSN" => it.voucher_sn = xml.number_or_zero()?,
            "State" => it.state = xml.number_or_zero()?,
            "Mode" => it.mode = xml.signed()?,
            "StartDate" => it.start_date = xml.trimmed()?,
            "ExpirationDate" => it.expiration_date = Some(xml.trimmed()?),
            "IsTransferable" => it.is_transferable = parse_boolean(&xml.text()?).unwrap_or(false),
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_list(xml: &mut XmlWriter<'_>, it: &OptionList<'_>) {
    xml.array("OptionList", "cwmp:OptionStruct", &it.options, |xml, option| {
        xml.element("OptionStruct", |xml| {
            xml.text("OptionName", &option.option_name);
            xml.number("VoucherSN", option.voucher_sn);
            xml.number("State", option.state);
            xml.number("Mode", option.mode);
            xml.text("StartDate", &option.start_date);
            xml.optional("ExpirationDate", option.expiration_date.as_deref());
            xml.boolean("IsTransferable", option.is_transferable);
        });
    });
}
