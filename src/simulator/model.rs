//! Data models: what parameters and tables a kind of CPE has. Read-only and shared by all CPEs of that kind.
//!
//! A model is text, one line per parameter or table, the same for the two built-in ones and for `--data-model FILE`:
//!
//! ```text
//! path,type,writable,value,flags
//! Device.DeviceInfo.ProvisioningCode,string,1,,forced active max=64
//! Device.NAT.PortMapping.{i}.,table,1,2,
//! Device.NAT.PortMapping.{i}.ExternalPort,unsignedInt,1,0,range=0..65535
//! Device.NAT.PortMapping.1.ExternalPort,unsignedInt,1,8080,
//! Device.NAT.PortMappingNumberOfEntries,unsignedInt,0,${count:PortMapping},
//! ```
//!
//! * A `table` line declares a table of instances; its `writable` says whether rows may be added and deleted, its value
//!   how many rows there are at first. Lines with `{i}` describe what each new row holds.
//! * Lines without `{i}` are parameters of their own, or give a row its particular value. Tables without a `table` line
//!   are inferred from numeric segments; their rows can be added when any of their parameters is writable.
//! * Values may hold `${...}`: `serial`, `oui`, `class`, `manufacturer`, `mac`, `wan_ip`, `uptime`, `now`, `acs_url`,
//!   `username`, `password`, `interval`, `cr_url`, `software`, `i` (the number of the row), `count:Table`.
//! * `flags`, separated by blanks: `hidden` (reads as an empty string), `forced` (in every Inform), `active` (notified
//!   from the start), `deny` (refuses active notification, 9009), `trigger` (reads back false), `max=N` (characters),
//!   `range=LOW..HIGH`, `enum=A|B|C`.
//!
//! JSON is an array of objects with the same five members (`flags` optional, `writable` a boolean).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::types::value::XsdType;

/// Parameters in a model before it is refused.
const LEAVES_MAX: usize = 200_000;

/// Why a data model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read the data model {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no array of objects as documented.
    #[error("the data model is no valid JSON")]
    Json(#[source] serde_json::Error),
    /// A line is wrong.
    #[error("line {line} of the data model: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// No line at all, or more than one root object.
    #[error("the data model needs exactly one root object, such as Device.")]
    Root,
    /// Too many parameters.
    #[error("the data model has more than {LEAVES_MAX} parameters")]
    TooLarge,
}

/// What values a parameter takes beyond its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Limit {
    #[default]
    None,
    /// Characters.
    Length(usize),
    Range(i64, i64),
    OneOf(Box<[Box<str>]>),
}

/// What the five columns say about a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Spec {
    pub(super) ty: XsdType,
    pub(super) writable: bool,
    pub(super) hidden: bool,
    pub(super) forced: bool,
    pub(super) active: bool,
    pub(super) deny: bool,
    pub(super) trigger: bool,
    pub(super) limit: Limit,
    pub(super) value: Box<str>,
}

/// What kind of object a path ending in a dot names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Plain,
    /// Index into [`DataModel::tables`].
    Table(usize),
    /// A row; `true` when it may be deleted.
    Row {
        deletable: bool,
    },
}

/// What a new row of a table holds.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) creatable: bool,
    initial: u32,
    /// Path below the row, and an index into [`DataModel::specs`].
    leaves: Vec<(Box<str>, usize)>,
    /// Tables inside the row: path below the row, and an index into [`DataModel::tables`].
    tables: Vec<(Box<str>, usize)>,
}

/// What a row (or a whole model) consists of, collected while it is made.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Path and index into [`DataModel::specs`].
    pub(super) leaves: BTreeMap<Box<str>, usize>,
    pub(super) objects: BTreeMap<Box<str>, ObjectKind>,
}

/// A data model, shared by all CPEs that have it.
#[derive(Debug)]
pub struct DataModel {
    root: Box<str>,
    specs: Vec<Spec>,
    tables: Vec<Table>,
    leaves: Vec<(Box<str>, usize)>,
    objects: Vec<(Box<str>, ObjectKind)>,
}

static TR181: LazyLock<Option<Arc<DataModel>>> =
    LazyLock::new(|| DataModel::from_csv(include_str!("model/tr181.csv")).ok().map(Arc::new));
static TR098: LazyLock<Option<Arc<DataModel>>> =
    LazyLock::new(|| DataModel::from_csv(include_str!("model/tr098.csv")).ok().map(Arc::new));

impl DataModel {
    /// The built-in TR-181 gateway, root `Device.`.
    #[must_use]
    pub fn tr181() -> Arc<Self> {
        TR181.clone().unwrap_or_else(|| Arc::new(Self::bare("Device.")))
    }

    /// The built-in TR-098 gateway, root `InternetGatewayDevice.`.
    #[must_use]
    pub fn tr098() -> Arc<Self> {
        TR098.clone().unwrap_or_else(|| Arc::new(Self::bare("InternetGatewayDevice.")))
    }

    /// Reads a model from a file: JSON when its name ends in `.json`, else CSV.
    ///
    /// # Errors
    /// [`ModelError`] when the file cannot be read or is not as the module's documentation says.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
        if is_json { Self::from_json(&text) } else { Self::from_csv(&text) }
    }

    /// Reads a model in CSV.
    ///
    /// # Errors
    /// [`ModelError`] names the line.
    pub fn from_csv(text: &str) -> Result<Self, ModelError> {
        let mut builder = Builder::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || line.starts_with("path,") {
                continue;
            }
            let columns = split_csv(line);
            let column = |n: usize| columns.get(n).map_or("", String::as_str);
            let writable = matches!(column(2).trim(), "1" | "true" | "rw");
            builder
                .line(column(0).trim(), column(1).trim(), writable, column(3), column(4))
                .map_err(|problem| ModelError::Line { line: at + 1, problem })?;
        }
        builder.finish()
    }

    /// Reads a model in JSON.
    ///
    /// # Errors
    /// [`ModelError`]; lines are counted as members of the array.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            path: String,
            #[serde(rename = "type")]
            ty: String,
            #[serde(default)]
            writable: bool,
            #[serde(default)]
            value: String,
            #[serde(default)]
            flags: String,
        }
        let rows: Vec<Row> = serde_json::from_str(text).map_err(ModelError::Json)?;
        let mut builder = Builder::default();
        for (at, row) in rows.iter().enumerate() {
            builder
                .line(&row.path, &row.ty, row.writable, &row.value, &row.flags)
                .map_err(|problem| ModelError::Line { line: at + 1, problem })?;
        }
        builder.finish()
    }

    /// `Device.` or `InternetGatewayDevice.`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Parameters that a CPE has before anything is added or deleted.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.leaves.len()
    }

    pub(super) fn spec(&self, index: usize) -> Option<&Spec> {
        self.specs.get(index)
    }

    pub(super) fn table(&self, index: usize) -> Option<&Table> {
        self.tables.get(index)
    }

    pub(super) fn leaf(&self, path: &str) -> Option<&Spec> {
        let at = self.leaves.binary_search_by(|(have, _)| (**have).cmp(path)).ok()?;
        self.spec(self.leaves.get(at)?.1)
    }

    pub(super) fn object(&self, path: &str) -> Option<ObjectKind> {
        let at = self.objects.binary_search_by(|(have, _)| (**have).cmp(path)).ok()?;
        Some(self.objects.get(at)?.1)
    }

    /// Parameters whose path begins with `prefix`, in order.
    pub(super) fn leaves_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Spec)> {
        let from = self.leaves.partition_point(|(path, _)| **path < *prefix);
        let below = self.leaves.get(from..).unwrap_or_default();
        below
            .iter()
            .take_while(move |(path, _)| path.starts_with(prefix))
            .filter_map(|(path, spec)| Some((&**path, self.spec(*spec)?)))
    }

    /// Objects whose path begins with `prefix`, itself included, in order.
    pub(super) fn objects_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, ObjectKind)> {
        let from = self.objects.partition_point(|(path, _)| **path < *prefix);
        let below = self.objects.get(from..).unwrap_or_default();
        below.iter().take_while(move |(path, _)| path.starts_with(prefix)).map(|(path, kind)| (&**path, *kind))
    }

    /// Makes row `number` of the table at `path`.
    pub(super) fn make_row(&self, table: usize, path: &str, number: u32) -> Parts {
        let mut parts = Parts::default();
        make_row(&self.tables, table, path, number, Rows::OnlyFixed, &mut parts);
        parts
    }

    fn bare(root: &str) -> Self {
        Self {
            root: root.into(),
            specs: Vec::new(),
            tables: Vec::new(),
            leaves: Vec::new(),
            objects: vec![(root.into(), ObjectKind::Plain)],
        }
    }
}

/// Which tables inside a new row have rows of their own at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// In a factory-fresh CPE: all that the model says.
    All,
    /// In a row that the ACS adds: only those that nobody could add.
    OnlyFixed,
}

fn make_row(tables: &[Table], table: usize, path: &str, number: u32, rows: Rows, parts: &mut Parts) {
    let Some(definition) = tables.get(table) else { return };
    let row = format!("{path}{number}.");
    parts.objects.insert(row.as_str().into(), ObjectKind::Row { deletable: definition.creatable });
    for (suffix, spec) in &definition.leaves {
        let leaf = format!("{row}{suffix}");
        plain_objects(&leaf, row.len(), &mut parts.objects);
        parts.leaves.insert(leaf.into(), *spec);
    }
    for (suffix, inner) in &definition.tables {
        let inner_path = format!("{row}{suffix}");
        plain_objects(inner_path.trim_end_matches('.'), row.len(), &mut parts.objects);
        let Some(inner_definition) = tables.get(*inner) else { continue };
        if rows == Rows::All || !inner_definition.creatable {
            for number in 1..=inner_definition.initial {
                make_row(tables, *inner, &inner_path, number, rows, parts);
            }
        }
        parts.objects.insert(inner_path.into(), ObjectKind::Table(*inner));
    }
}

/// Enters every object on the way to `path` that lies below its first `from` bytes and is not there yet.
fn plain_objects(path: &str, from: usize, objects: &mut BTreeMap<Box<str>, ObjectKind>) {
    for (at, _) in path.match_indices('.').filter(|(at, _)| *at >= from) {
        let Some(object) = path.get(..=at) else { continue };
        if !objects.contains_key(object) {
            objects.insert(object.into(), ObjectKind::Plain);
        }
    }
}

#[derive(Default)]
struct Builder {
    specs: Vec<Spec>,
    /// By pattern: `Device.IP.Interface.{i}.IPv4Address.`.
    tables: BTreeMap<String, (bool, u32)>,
    /// Parameters with `{i}`.
    patterns: BTreeMap<String, usize>,
    /// Parameters without.
    concrete: BTreeMap<Box<str>, usize>,
}

impl Builder {
    fn line(&mut self, path: &str, ty: &str, writable: bool, value: &str, flags: &str) -> Result<(), &'static str> {
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

    fn finish(mut self) -> Result<DataModel, ModelError> {
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
        Ok(DataModel {
            root: root.into(),
            specs: self.specs,
            tables,
            leaves: parts.leaves.into_iter().collect(),
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

impl Spec {
    fn flags(&mut self, flags: &str) -> Result<(), &'static str> {
        for flag in flags.split_whitespace() {
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("hidden", _) => self.hidden = true,
                ("forced", _) => self.forced = true,
                ("active", _) => self.active = true,
                ("deny", _) => self.deny = true,
                ("trigger", _) => self.trigger = true,
                ("max", n) => self.limit = Limit::Length(n.parse().map_err(|_| "max= needs a number")?),
                ("range", range) => {
                    let (low, high) = range.split_once("..").ok_or("range= needs LOW..HIGH")?;
                    let number = |text: &str| text.parse().map_err(|_| "range= needs two numbers");
                    self.limit = Limit::Range(number(low)?, number(high)?);
                }
                ("enum", words) => self.limit = Limit::OneOf(words.split('|').map(Into::into).collect()),
                _ => return Err("unknown flag"),
            }
        }
        Ok(())
    }

    /// Whether `text` is a value that this parameter takes: the lexical rules of XML Schema, then the model's limit.
    pub(super) fn accepts(&self, text: &str) -> bool {
        let lexical = match self.ty {
            XsdType::Boolean => matches!(text.trim(), "0" | "1" | "true" | "false"),
            ty => ty.check(text).is_ok(),
        };
        lexical
            && match &self.limit {
                Limit::None => true,
                Limit::Length(max) => text.chars().count() <= *max,
                Limit::Range(low, high) => text.trim().parse().is_ok_and(|n: i64| (*low..=*high).contains(&n)),
                Limit::OneOf(words) => words.iter().any(|word| **word == *text),
            }
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
fn split_csv(line: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_models_are_valid_and_large() {
        for (text, root) in
            [(include_str!("model/tr181.csv"), "Device."), (include_str!("model/tr098.csv"), "InternetGatewayDevice.")]
        {
            let model = DataModel::from_csv(text).expect("valid");
            assert_eq!(model.root(), root);
            assert!(model.parameter_count() >= 300, "{root} has {}", model.parameter_count());
            for (path, spec) in model.leaves_below("") {
                if !spec.value.contains("${") {
                    assert!(spec.accepts(&spec.value), "{path} = {:?}", spec.value);
                }
                let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                assert!(model.object(&format!("{parent}.")).is_some(), "{path} has no parent");
            }
        }
    }

    #[test]
    fn a_dump_without_tables_gets_them_inferred() {
        let model = DataModel::from_csv(
            "path,type,writable,value\nDevice.A.1.B.2.Name,string,1,\"x,\"\"y\"\"\"\nDevice.A.1.Up,boolean,0,true\n",
        )
        .expect("valid");
        assert_eq!(model.leaf("Device.A.1.B.2.Name").map(|spec| &*spec.value), Some("x,\"y\""));
        assert!(matches!(model.object("Device.A.1.B."), Some(ObjectKind::Table(_))));
        assert_eq!(model.object("Device.A.1.B.2."), Some(ObjectKind::Row { deletable: true }));
        assert!(matches!(model.object("Device.A."), Some(ObjectKind::Table(_))));
    }

    #[test]
    fn json_is_the_same_model() {
        let text = r#"[{"path":"Device.X.{i}.","type":"table","writable":true,"value":"2"},
            {"path":"Device.X.{i}.Y","type":"int","value":"7"}]"#;
        let model = DataModel::from_json(text).expect("valid");
        assert_eq!(model.parameter_count(), 2);
        assert!(matches!(DataModel::from_json("[]"), Err(ModelError::Root)));
        assert!(matches!(DataModel::from_csv("Device.X.,int,0,1"), Err(ModelError::Line { line: 1, .. })));
    }
}
