//! What a call brought, as tables.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::super::trace::printable;
use super::{fault_words, text};

/// Writes all that the result has: lists of texts line by line, lists of records as tables, numbers by name.
pub(super) fn write(ended: &Value, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let nothing = Map::new();
    let result = ended.get("result").and_then(Value::as_object).unwrap_or(&nothing);
    for (name, value) in result {
        match value {
            Value::Array(items) if items.is_empty() => writeln!(out, "no {name}")?,
            Value::Array(items) => write_list(items, out)?,
            other => writeln!(out, "{name}: {}", cell(other))?,
        }
    }
    let note = text(ended, "note");
    if !note.is_empty() {
        writeln!(out, "{}", printable(note))?;
    }
    if result.is_empty() && note.is_empty() && text(ended, "status") == "completed" {
        writeln!(out, "{}: done", text(ended, "operation"))?;
    }
    Ok(())
}

fn write_list(items: &[Value], out: &mut (dyn Write + Send)) -> io::Result<()> {
    let mut columns: Vec<&str> = Vec::new();
    for (name, value) in items.iter().filter_map(Value::as_object).flatten() {
        let says_something = !matches!(cell(value).as_str(), "");
        if says_something && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    if columns.is_empty() {
        return items.iter().try_for_each(|item| writeln!(out, "{}", cell(item)));
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| columns.iter().map(|name| item.get(*name).map(cell).unwrap_or_default()).collect())
        .collect();
    let head: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let all = || std::iter::once(&head).chain(&rows);
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| all().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in all() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text).into_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(fault) if fault.contains_key("message") => printable(&fault_words(value)).into_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(ended: &Value) -> String {
        let mut out = Vec::new();
        write(ended, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn records_are_tables_without_empty_columns() {
        let fault = json!({"code": 9005, "message": "Invalid\u{1b} name"});
        let parameters = json!([
            {"path": "D.A", "notification": 2, "access_list": ["Subscriber"], "fault": null},
            {"path": "D.Longer", "fault": fault},
        ]);
        let table = written(&json!({"result": {"parameters": parameters}}));
        let columns = ["access_list  notification  path", "notification  path"];
        assert!(columns.iter().any(|columns| table.contains(columns)) && table.contains("9005 Invalid\u{fffd} name"));
        assert_eq!(table.lines().count(), 3, "{table}");
        assert_eq!(written(&json!({"result": {"methods": ["A", "B"]}})), "A\nB\n");
        assert_eq!(written(&json!({"result": {"names": 12, "skipped": 0}, "note": "n"})), "names: 12\nskipped: 0\nn\n");
        assert_eq!(written(&json!({"result": {"transfers": []}})), "no transfers\n");
        assert_eq!(written(&json!({"result": {}, "status": "completed", "operation": "Reboot"})), "Reboot: done\n");
    }
}
