//! Reading a model: lines in, tables linked and rows made.

use std::collections::{BTreeMap, BTreeSet};

use super::{DataModel, LEAVES_MAX, Limit, ModelError, ObjectKind, Parts, Rows, Spec, Table, make_row, plain_objects};
use crate::types::value::XsdType;

#[derive(Default)]
pub(super) struct Builder {
    specs: Vec<Spec>,
    /// By pattern: `Device.IP.Interface.{i}.IPv4Address.`.
    tables: BTreeMap<String, (bool, u32)>,
    /// Parameters with `{i}`.
    patterns: BTreeMap<String, usize>,
    /// Parameters without.
    concrete: BTreeMap<Box<str>, usize>,
}

impl Builder {
    pub(super) fn line(
        &mut self,
        path: &str,
        ty: &str,
        writable: bool,
        value: &str,
        flags: &str,
    ) -> Result<(), &'static str> {
        if path.is_empty() || path.starts_with('.') || path.contains("..") {
            return Err("the path is empty or has an empty segment");
        }
        if ty == "table" {
            let pattern = path.strip_suffix("{i}.").ok_or("the path of a table must end in {i}.")?;
            let rows = if value.is_empty() { 0 } else { value.parse().map_err(|_| "the value must count rows")? };
            self.tables.insert(pattern.to_owned(), (writable, rows));
            return Ok(());
        }
        if path.ends_with('.') || !path.contains('.') {
            return Err("a parameter's path must have a dot, and none at its end");
        }
        let mut spec = Spec { ty: XsdType::parse(ty), writable, value: value.into(), ..Spec::default() };
        spec.flags(flags)?;
        let index = self.specs.len();
        self.specs.push(spec);
        if path.contains("{i}") {
            self.patterns.insert(path.to_owned(), index);
        } else {
            self.concrete.insert(path.into(), index);
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<DataModel, ModelError> {
        self.infer_tables();
        let roots: BTreeSet<String> = self
            .concrete
            .keys()
            .map(|path| &**path)
            .chain(self.patterns.keys().map(String::as_str))
            .filter_map(|path| Some(format!("{}.", path.split('.').next()?)))
            .collect();
        let mut roots = roots.into_iter();
        let (Some(root), None) = (roots.next(), roots.next()) else { return Err(ModelError::Root) };

        let (tables, index) = self.link_tables();
        let mut parts = Parts::default();
        parts.objects.insert(root.as_str().into(), ObjectKind::Plain);
        for (pattern, at) in &index {
            if pattern.contains("{i}") {
                continue;
            }
            plain_objects(pattern.trim_end_matches('.'), 0, &mut parts.objects);
            parts.objects.insert(pattern.as_str().into(), ObjectKind::Table(*at));
            for number in 1..=tables.get(*at).map_or(0, |table| table.initial) {
                make_row(&tables, *at, pattern, number, Rows::All, &mut parts);
            }
        }
        for (path, spec) in self.concrete {
            enter_rows(&path, &tables, &index, &mut parts);
            plain_objects(&path, 0, &mut parts.objects);
            parts.leaves.insert(path, spec);
        }
        if parts.leaves.len() > LEAVES_MAX {
            return Err(ModelError::TooLarge);
        }
        let leaves: Vec<(Box<str>, usize)> = parts.leaves.into_iter().collect();
        let is_forced = |spec: usize| self.specs.get(spec).is_some_and(|spec| spec.forced);
        let forced = leaves.iter().enumerate().filter(|(_, (_, spec))| is_forced(*spec)).map(|(at, _)| at).collect();
        Ok(DataModel {
            root: root.into(),
            forced,
            leaves,
            specs: self.specs,
            tables,
            objects: parts.objects.into_iter().collect(),
        })
    }

    /// Tables that no line declares: wherever a segment of a parameter's path is a number.
    fn infer_tables(&mut self) {
        let mut found: BTreeMap<String, bool> = BTreeMap::new();
        let mut rows: BTreeMap<String, usize> = BTreeMap::new();
        for (path, spec) in &self.concrete {
            let pattern = pattern_of(path);
            if !pattern.contains("{i}.") {
                continue;
            }
            let writable = self.specs.get(*spec).is_some_and(|spec| spec.writable);
            for (at, _) in pattern.match_indices("{i}.") {
                let Some(table) = pattern.get(..at) else { continue };
                *found.entry(table.to_owned()).or_default() |= writable;
            }
            rows.entry(pattern).or_insert(*spec);
        }
        let declared: BTreeSet<String> = self.tables.keys().cloned().collect();
        for (table, writable) in found {
            self.tables.entry(table).or_insert((writable, 0));
        }
        for (pattern, spec) in rows {
            let Some((table, _)) = pattern.rsplit_once("{i}.") else { continue };
            if declared.contains(table) || self.patterns.contains_key(&pattern) {
                continue;
            }
            let Some(like) = self.specs.get(spec) else { continue };
            let blank = Spec { value: blank_value(like.ty).into(), limit: Limit::None, ..like.clone() };
            let index = self.specs.len();
            self.specs.push(blank);
            self.patterns.insert(pattern, index);
        }
    }

    fn link_tables(&mut self) -> (Vec<Table>, BTreeMap<String, usize>) {
        // A parameter with `{i}` whose table no line declares makes that table, with no rows.
        for pattern in self.patterns.keys() {
            for (at, _) in pattern.match_indices("{i}.") {
                let table = pattern.get(..at).unwrap_or_default();
                self.tables.entry(table.to_owned()).or_insert((false, 0));
            }
        }
        let index: BTreeMap<String, usize> =
            self.tables.keys().enumerate().map(|(at, pattern)| (pattern.clone(), at)).collect();
        let mut tables: Vec<Table> = self
            .tables
            .values()
            .map(|(creatable, initial)| Table { creatable: *creatable, initial: *initial, ..Table::default() })
            .collect();
        let owner = |pattern: &str| -> Option<(usize, Box<str>)> {
            let (table, suffix) = pattern.rsplit_once("{i}.")?;
            Some((*index.get(table)?, suffix.into()))
        };
        for (pattern, spec) in &self.patterns {
            let Some((at, suffix)) = owner(pattern) else { continue };
            if let Some(table) = tables.get_mut(at) {
                table.leaves.push((suffix, *spec));
            }
        }
        for (pattern, inner) in &index {
            let Some((at, suffix)) = owner(pattern) else { continue };
            if let Some(table) = tables.get_mut(at) {
                table.tables.push((suffix, *inner));
            }
        }
        (tables, index)
    }
}

/// Makes the rows that a parameter of its own needs and that the tables' counts did not make.
fn enter_rows(path: &str, tables: &[Table], index: &BTreeMap<String, usize>, parts: &mut Parts) {
    let mut from = 0;
    for segment in path.split('.') {
        let end = from + segment.len() + 1;
        if let (Ok(number), Some(table)) = (segment.parse::<u32>(), path.get(..from))
            && let Some(row) = path.get(..end)
            && !parts.objects.contains_key(row)
            && let Some(at) = index.get(&pattern_of(table))
        {
            plain_objects(table.trim_end_matches('.'), 0, &mut parts.objects);
            parts.objects.insert(table.into(), ObjectKind::Table(*at));
            make_row(tables, *at, table, number, Rows::All, parts);
        }
        from = end;
    }
}

/// `Device.IP.Interface.{i}.Enable` of `Device.IP.Interface.3.Enable`.
fn pattern_of(path: &str) -> String {
    let is_number = |segment: &str| !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
    let segments: Vec<&str> = path.split('.').map(|s| if is_number(s) { "{i}" } else { s }).collect();
    segments.join(".")
}

const fn blank_value(ty: XsdType) -> &'static str {
    match ty {
        XsdType::Boolean => "false",
        XsdType::Int | XsdType::UnsignedInt | XsdType::Long | XsdType::UnsignedLong | XsdType::Decimal => "0",
        XsdType::DateTime => "0001-01-01T00:00:00Z",
        XsdType::String | XsdType::Base64 | XsdType::Base64Binary | XsdType::HexBinary => "",
    }
}

/// RFC 4180 within one line.
pub(super) fn split_csv(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut columns, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            c => push(&mut columns, c),
        }
    }
    columns
}

fn push(columns: &mut [String], c: char) {
    if let Some(column) = columns.last_mut() {
        column.push(c);
    }
}
