//! Cutting the body of an import into devices as it arrives: lines of JSON, or records of CSV.

use bytes::{Buf as _, Bytes};
use csv_core::ReadRecordResult;
use memchr::memchr;
use serde_json::{Map, Value};

use crate::api::error::FieldErrors;

use super::super::table;

/// Most columns of a table.
const COLUMNS_MAX: usize = 128;
/// Under this name stand errors of a line as a whole.
pub(super) const WHOLE: &str = "non_field_errors";

/// A line of an import.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its place in the body, from 1; of a record with line breaks inside, where it begins.
    pub(super) number: u64,
    /// What it says, or why it says nothing.
    pub(super) object: Result<Map<String, Value>, FieldErrors>,
}

/// What has arrived and not been read yet.
#[derive(Debug)]
pub(super) enum Source {
    Json(JsonLines),
    Csv(Box<CsvRecords>),
}

impl Source {
    /// Lines of JSON.
    pub(super) fn json(line_bytes: usize) -> Self {
        Self::Json(JsonLines { number: 0, line_bytes, input: Bytes::new(), begun: Vec::new(), too_long: false })
    }

    /// A table with a header.
    pub(super) fn csv(line_bytes: usize) -> Self {
        Self::Csv(Box::new(CsvRecords {
            reader: csv_core::Reader::new(),
            input: Bytes::new(),
            output: vec![0; line_bytes.max(1)],
            written: 0,
            ends: vec![0; COLUMNS_MAX],
            ended: 0,
            too_long: false,
            breaks: 0,
            after_break: true,
            columns: None,
        }))
    }

    /// Takes in a piece of the body; what came before has been read.
    pub(super) fn push(&mut self, piece: Bytes) {
        match self {
            Self::Json(lines) => lines.input = piece,
            Self::Csv(records) => records.input = piece,
        }
    }

    /// The next line; `None`: more has to arrive, or, `at_end`, there is no more.
    pub(super) fn next(&mut self, at_end: bool) -> Option<Line> {
        match self {
            Self::Json(lines) => lines.next(at_end),
            Self::Csv(records) => records.next(at_end),
        }
    }
}

fn too_long(line_bytes: usize) -> FieldErrors {
    FieldErrors::one(WHOLE, format!("The line is longer than {line_bytes} bytes, or has too many columns."))
}

#[derive(Debug)]
pub(super) struct JsonLines {
    number: u64,
    line_bytes: usize,
    input: Bytes,
    /// A line of which the end has not arrived.
    begun: Vec<u8>,
    too_long: bool,
}

impl JsonLines {
    fn next(&mut self, at_end: bool) -> Option<Line> {
        loop {
            let end = memchr(b'\n', &self.input);
            let piece = self.input.split_to(end.unwrap_or(self.input.len()));
            if self.begun.len() + piece.len() > self.line_bytes {
                self.too_long = true;
                self.begun.clear();
            } else if !self.too_long {
                self.begun.extend_from_slice(&piece);
            }
            let rest = !self.begun.is_empty() || self.too_long;
            if end.is_none() && !(at_end && rest) {
                return None;
            }
            self.input.advance(usize::from(end.is_some()));
            self.number += 1;
            let text = std::mem::take(&mut self.begun);
            if std::mem::take(&mut self.too_long) {
                return Some(Line { number: self.number, object: Err(too_long(self.line_bytes)) });
            }
            let text = text.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.number == 1).unwrap_or(&text);
            if !text.trim_ascii().is_empty() {
                return Some(Line { number: self.number, object: read_object(text) });
            }
        }
    }
}

fn read_object(text: &[u8]) -> Result<Map<String, Value>, FieldErrors> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(FieldErrors::one(WHOLE, "Invalid data. Expected an object.")),
        Err(error) => Err(FieldErrors::one(WHOLE, format!("JSON parse error - {error}"))),
    }
}

#[derive(Debug)]
pub(super) struct CsvRecords {
    reader: csv_core::Reader,
    input: Bytes,
    /// The cells of the record that is being read, one behind the other.
    output: Vec<u8>,
    written: usize,
    /// Where they end.
    ends: Vec<usize>,
    ended: usize,
    too_long: bool,
    /// Line breaks that have been read.
    breaks: u64,
    after_break: bool,
    columns: Option<Vec<String>>,
}

impl CsvRecords {
    fn next(&mut self, at_end: bool) -> Option<Line> {
        loop {
            let (number, cells) = self.record(at_end)?;
            match (&self.columns, cells) {
                (None, Ok(header)) => {
                    let columns: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
                    let known = columns.iter().any(|name| name == "serial_number");
                    self.columns = Some(columns);
                    if !known {
                        let missing = FieldErrors::one("serial_number", "The header has no such column.");
                        return Some(Line { number, object: Err(missing) });
                    }
                }
                (None, Err(errors)) => {
                    self.columns = Some(Vec::new());
                    return Some(Line { number, object: Err(errors) });
                }
                (Some(columns), cells) => {
                    let object = cells.and_then(|cells| object_of(columns, &cells));
                    return Some(Line { number, object });
                }
            }
        }
    }

    /// The next record and the line it begins on.
    fn record(&mut self, at_end: bool) -> Option<(u64, Result<Vec<String>, FieldErrors>)> {
        loop {
            if self.input.is_empty() && !at_end {
                return None;
            }
            let output = self.output.get_mut(self.written..).unwrap_or_default();
            let ends = self.ends.get_mut(self.ended..).unwrap_or_default();
            let (result, read, written, ended) = self.reader.read_record(&self.input, output, ends);
            let taken = self.input.split_to(read);
            if let Some(last) = taken.last() {
                self.after_break = *last == b'\n';
            }
            self.breaks += u64::try_from(memchr::memchr_iter(b'\n', &taken).count()).unwrap_or_default();
            self.written += written;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    // The rest of the record is read and thrown away.
                    self.too_long = true;
                    (self.written, self.ended) = (0, 0);
                }
                ReadRecordResult::Record => return Some(self.take()),
                ReadRecordResult::End => return None,
            }
        }
    }

    fn take(&mut self) -> (u64, Result<Vec<String>, FieldErrors>) {
        let (written, ended) = (std::mem::take(&mut self.written), std::mem::take(&mut self.ended));
        let bytes = self.output.get(..written).unwrap_or_default();
        let inside = u64::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or_default();
        let number = (self.breaks + u64::from(!self.after_break)).saturating_sub(inside);
        if std::mem::take(&mut self.too_long) {
            return (number, Err(too_long(self.output.len())));
        }
        let mut cells = Vec::with_capacity(ended);
        let mut from = 0;
        for end in self.ends.iter().take(ended) {
            match bytes.get(from..*end).map(std::str::from_utf8) {
                Some(Ok(cell)) => cells.push(cell.to_owned()),
                Some(Err(_)) | None => return (number, Err(FieldErrors::one(WHOLE, "The line is not UTF-8."))),
            }
            from = *end;
        }
        (number, Ok(cells))
    }
}

fn object_of(columns: &[String], cells: &[String]) -> Result<Map<String, Value>, FieldErrors> {
    if cells.len() != columns.len() {
        let reason = format!("The line has {} cells, the header {}.", cells.len(), columns.len());
        return Err(FieldErrors::one(WHOLE, reason));
    }
    Ok(table::object_of(columns, cells))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Every line, whatever the pieces in which the body arrives.
    fn read(mut source: Source, body: &[u8], piece: usize) -> Vec<(u64, Value)> {
        let mut lines = Vec::new();
        let mut note = |line: Line| {
            let value = match line.object {
                Ok(object) => Value::Object(object),
                Err(errors) => json!({ "wrong": errors.into_map() }),
            };
            lines.push((line.number, value));
        };
        for piece in body.chunks(piece) {
            source.push(Bytes::copy_from_slice(piece));
            while let Some(line) = source.next(false) {
                note(line);
            }
        }
        while let Some(line) = source.next(true) {
            note(line);
        }
        lines
    }

    #[test]
    fn lines_of_json_are_cut_wherever_the_pieces_end() {
        let body = format!("{{\"a\":1}}\r\n\n[]\n{}\n{{\"b\":2}}", "x".repeat(40));
        for piece in 1..body.len() {
            let lines = read(Source::json(30), body.as_bytes(), piece);
            assert_eq!(lines[0], (1, json!({"a": 1})), "{piece}");
            assert_eq!(lines[1].0, 3);
            assert_eq!(lines[2].0, 4);
            assert!(lines[2].1["wrong"][WHOLE][0].as_str().is_some_and(|text| text.contains("longer")));
            assert_eq!(lines[3], (5, json!({"b": 2})));
            assert_eq!(lines.len(), 4);
        }
        assert_eq!(read(Source::json(30), b"", 1), []);
        assert_eq!(read(Source::json(30), b"\xef\xbb\xbf{}\n\n", 99), [(1, json!({}))]);
    }

    #[test]
    fn records_of_csv_are_cut_wherever_the_pieces_end() {
        let long = "x".repeat(80);
        for eol in ["\n", "\r\n"] {
            let body = [
                "serial_number,description,tags",
                "A,\"two\nlines, \"\"quoted\"\"\",a;b",
                "B,,",
                "C,short",
                &format!("D,{long},"),
                "E,last,x",
            ]
            .join(eol);
            for piece in 3..body.len() {
                let lines = read(Source::csv(60), body.as_bytes(), piece);
                let numbers: Vec<u64> = lines.iter().map(|(number, _)| *number).collect();
                assert_eq!(numbers, [2, 4, 5, 6, 7], "{piece} {eol:?}");
                assert_eq!(
                    lines[0].1,
                    json!({"serial_number": "A", "description": "two\nlines, \"quoted\"", "tags": ["a", "b"]})
                );
                assert_eq!(lines[1].1, json!({"serial_number": "B", "description": "", "tags": []}));
                assert!(lines[2].1["wrong"][WHOLE][0].as_str().is_some_and(|text| text.contains("2 cells")));
                assert!(lines[3].1["wrong"][WHOLE][0].as_str().is_some_and(|text| text.contains("longer")));
                assert_eq!(lines[4].1["serial_number"], "E");
            }
        }
        assert_eq!(read(Source::csv(60), b"name\nx\n", 99)[0].0, 1, "no serial numbers");
    }
}
