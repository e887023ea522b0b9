//! What one device is to be configured to.

use super::*;
use crate::model::device::{DeviceTypeId, Login, OrganizationId};
use crate::model::inventory::LocationId;
use crate::types::ident::{DeviceIdentity, SerialNumber};
use crate::types::time::Timestamp;

/// What is changed, and how.
type Change = (&'static str, fn(&mut Case));

/// A device with everything that belongs to it.
struct Case {
    device_type: DeviceType,
    profile: Profile,
    state: State,
    location: Option<Location>,
    organization: Organization,
}

impl Case {
    fn new() -> Self {
        let at = Timestamp::from_secs(1);
        let mut profile = Profile::fresh(SerialNumber::try_from("SN1").expect("valid"), at);
        (profile.customer_id, profile.description) = ("C-1".to_owned(), "in the attic".to_owned());
        let mut state = State::unseen(at);
        state.identity = Some(DeviceIdentity::new("00D09E", "Gate", "SN1").expect("valid"));
        state.data_model = DataModel::Device;
        Self {
            device_type: DeviceType::generic(at),
            profile,
            state,
            location: Some(Location {
                id: LocationId(4),
                name: "Main street".to_owned(),
                short_name: "MAIN".to_owned(),
                address: String::new(),
                latitude: Some("47.6".to_owned()),
                longitude: None,
                organization: None,
                created: at,
                revision: 0,
            }),
            organization: Organization { short_name: "def".to_owned(), ..Organization::first(at) },
        }
    }

    fn basis(&self) -> Basis<'_> {
        Basis {
            device_type: &self.device_type,
            profile: &self.profile,
            state: &self.state,
            location: self.location.as_ref(),
            organization: Some(&self.organization),
        }
    }

    fn effective(&self) -> Effective {
        self.basis().effective(&reversed).expect("all opens").expect("something is wanted")
    }

    fn parameters(&self) -> Vec<(String, String)> {
        let effective = self.effective();
        let pair = |wanted: &WantedParameter<String>| (wanted.path.as_str().to_owned(), wanted.value.clone());
        effective.configuration.parameters.iter().map(pair).collect()
    }
}

/// Stands for a cipher.
fn reversed(sealed: &Sealed) -> Result<Secret, SealError> {
    let clear = sealed.0.iter().rev().copied().collect();
    String::from_utf8(clear).map(Secret::new).map_err(|_| SealError::Unopenable)
}

fn reverse(secret: &Secret) -> Result<Sealed, SealError> {
    match secret.expose() {
        "" => Err(SealError::TooLong),
        text => Ok(Sealed(text.bytes().rev().collect())),
    }
}

fn parameter<V: for<'t> From<&'t str>>(path: &str, value: &str) -> WantedParameter<V> {
    WantedParameter { path: ParameterPath::try_from(path).expect("valid"), value: value.into(), ty: None }
}

fn attribute(path: &str, notification: u8) -> WantedAttribute {
    WantedAttribute { path: ParameterPath::try_from(path).expect("valid"), notification }
}

fn values<V: for<'t> From<&'t str>>(values: &[(&str, &str)]) -> BTreeMap<String, WantedValue<V>> {
    let value = |value: &str| WantedValue { value: value.into(), ty: None };
    values.iter().map(|(leaf, text)| ((*leaf).to_owned(), value(text))).collect()
}

fn row<V: for<'t> From<&'t str>>(table: &str, key: &[(&str, &str)], parameters: &[(&str, &str)]) -> WantedObject<V> {
    let table = ObjectPath::try_from(table).expect("valid");
    WantedObject { table, key: values(key), parameters: values(parameters) }
}

#[test]
fn every_placeholder_has_its_source() {
    let mut case = Case::new();
    let login = Login { username: "acs-user".to_owned(), password: Sealed(Box::default()) };
    case.profile.credentials.current = Some(login);
    let table = [
        ("{serial}/{serial_number}", "SN1/SN1"),
        ("{oui}-{product_class}", "00D09E-Gate"),
        ("{name}", "SN1"),
        ("{customer_id}: {description}", "C-1: in the attic"),
        ("{location}|{location_name}|{location_short_name}", "Main street||MAIN"),
        ("{organization}/{organization_short_name}", "Default/def"),
        ("{latitude},{longitude}", "47.6,"),
        ("{username}", "acs-user"),
        ("{{serial}", "{serial}"),
    ];
    for (text, want) in table {
        case.device_type.wanted.parameters = vec![parameter("Device.X", text)];
        assert_eq!(case.parameters(), [("Device.X".to_owned(), want.to_owned())], "{text}");
    }
    (case.profile.location_name, case.profile.longitude) = ("Roof".to_owned(), Some("8.5".to_owned()));
    case.device_type.wanted.parameters = vec![parameter("Device.X", "{location} {location_name} {longitude}")];
    assert_eq!(case.parameters()[0].1, "Roof Roof 8.5", "the device's own come first");
}

#[test]
fn a_device_s_own_wishes_override_its_type_s_and_add_to_them() {
    let mut case = Case::new();
    case.device_type.wanted.parameters = vec![parameter("Device.A", "type"), parameter("Device.B", "type")];
    case.profile.wanted.parameters = vec![parameter("Device.B", "own"), parameter("Device.C", "own")];
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(case.parameters(), pairs(&[("Device.A", "type"), ("Device.B", "own"), ("Device.C", "own")]));
    case.device_type.wanted.attributes = vec![attribute("Device.A", 2), attribute("Device.B", 2)];
    case.profile.wanted.attributes = vec![attribute("Device.A", 0)];
    let effective = case.effective();
    assert_eq!(effective.configuration.attributes, [attribute("Device.A", 0), attribute("Device.B", 2)]);
}

#[test]
fn rows_are_the_same_by_table_and_filled_key() {
    const SSID: &str = "Device.WiFi.SSID.";
    let mut case = Case::new();
    case.device_type.wanted.objects = vec![
        row(SSID, &[("SSID", "net-{serial}")], &[("Enable", "1"), ("LowerLayers", "a")]),
        row(SSID, &[("SSID", "guest")], &[("Enable", "1")]),
    ];
    case.profile.wanted.objects = vec![
        row(SSID, &[("SSID", "net-SN1")], &[("Enable", "0"), ("X", "{name}")]),
        row("Device.NAT.PortMapping.", &[("Description", "ssh")], &[("Enable", "1")]),
    ];
    let effective = case.effective();
    let want = [
        row(SSID, &[("SSID", "net-SN1")], &[("Enable", "0"), ("LowerLayers", "a"), ("X", "SN1")]),
        row(SSID, &[("SSID", "guest")], &[("Enable", "1")]),
        row("Device.NAT.PortMapping.", &[("Description", "ssh")], &[("Enable", "1")]),
    ];
    assert_eq!(effective.configuration.objects, want);
}

#[test]
fn secrets_are_sealed_by_their_paths_and_opened_before_they_are_filled() {
    let mut case = Case::new();
    let mut wanted: [WantedParameter; 2] =
        [parameter("Device.X.Password", "word-{serial}"), parameter("Device.X.Username", "user")];
    wanted.iter_mut().try_for_each(|wanted| wanted.seal(reverse)).expect("seals");
    assert_eq!(wanted.each_ref().map(|wanted| wanted.value.plain()), [None, Some("user")]);
    let before = wanted[0].clone();
    wanted[0].seal(reverse).expect("is sealed already");
    assert_eq!(wanted[0], before, "not sealed twice");
    let mut empty: WantedParameter = parameter("Device.X.Password", "");
    empty.seal(reverse).expect_err("is refused");
    assert_eq!(empty.value.plain(), Some(""), "stays as it is");
    let mut object: WantedObject = row("Device.WiFi.AccessPoint.", &[("Alias", "a")], &[("PIN", "1"), ("X", "2")]);
    object.seal(reverse).expect("seals");
    let plain = |leaf: &str| object.parameters[leaf].value.plain();
    assert_eq!((object.key["Alias"].value.plain(), plain("PIN"), plain("X")), (Some("a"), None, Some("2")));

    case.device_type.wanted.parameters = wanted.to_vec();
    case.device_type.wanted.objects = vec![object];
    case.device_type.device_factory = wanted.to_vec();
    assert_eq!(case.parameters()[0].1, "word-SN1");
    assert_eq!(case.effective().configuration.objects[0].parameters["PIN"].value, "1");
    let reset = case.basis().device_factory(&reversed).expect("opens").expect("defined");
    assert_eq!(reset.configuration.parameters[0].value, "word-SN1");
    let refuse = |_: &Sealed| Err(SealError::Unopenable);
    assert_eq!(case.basis().effective(&refuse).expect_err("does not open").path, "Device.X.Password");
    assert!(case.basis().device_factory(&refuse).is_err());
    case.device_type.wanted.parameters.clear();
    assert_eq!(case.basis().effective(&refuse).expect_err("does not open").path, "Device.WiFi.AccessPoint.PIN");
}

#[test]
fn each_device_takes_what_is_of_its_own_tree() {
    let mut case = Case::new();
    case.device_type.wanted.parameters =
        vec![parameter("Device.A", "181"), parameter("InternetGatewayDevice.A", "098")];
    case.device_type.device_factory = vec![parameter("InternetGatewayDevice.Reset", "{serial}")];
    let paths = ["Device.Loc", "InternetGatewayDevice.Loc"];
    case.device_type.location_parameters = paths.map(|path| ParameterPath::try_from(path).expect("valid")).into();
    assert_eq!(case.parameters()[0].1, "181");
    assert!(
        !case.basis().has_device_factory() && case.basis().device_factory(&reversed).is_ok_and(|none| none.is_none())
    );
    assert_eq!(case.basis().location_parameter().map(ParameterPath::as_str), Some("Device.Loc"));
    case.state.data_model = DataModel::InternetGatewayDevice;
    assert_eq!(case.parameters().len(), 1);
    assert_eq!(case.parameters()[0].1, "098");
    assert_eq!(case.basis().location_parameter().map(ParameterPath::as_str), Some("InternetGatewayDevice.Loc"));
    let reset = case.basis().device_factory(&reversed).expect("opens").expect("defined");
    assert_eq!(reset.configuration.parameters, [parameter("InternetGatewayDevice.Reset", "SN1")]);
    case.device_type.wanted.parameters.truncate(1);
    assert!(!case.basis().wants_configuration() && case.basis().effective(&reversed).is_ok_and(|none| none.is_none()));
}

#[test]
fn there_is_a_mark_when_something_is_wanted_and_the_tree_is_known() {
    let mut case = Case::new();
    assert_eq!(case.basis().mark(), None);
    case.device_type.wanted.parameters = vec![parameter("InternetGatewayDevice.A", "1")];
    assert_eq!(case.basis().mark(), None, "of the other tree");
    case.profile.wanted.parameters = vec![parameter("Device.A", "1")];
    assert_ne!(case.basis().mark(), None);
    case.state.data_model = DataModel::Unknown;
    assert_eq!(case.basis().mark(), None);
    let mut case = Case::new();
    case.device_type.update_frequency = Some(60);
    assert_ne!(case.basis().mark(), None, "an interval is something");
}

#[test]
fn whatever_goes_into_a_configuration_changes_its_mark() {
    let begin = || {
        let mut case = Case::new();
        case.device_type.wanted.parameters =
            vec![parameter("Device.A", "1"), parameter("InternetGatewayDevice.A", "1")];
        case
    };
    let mark = begin().basis().mark();
    assert_eq!(mark, begin().basis().mark());
    assert_eq!(mark, Some(ConfigurationMark(STORED)), "marks are stored: they may not change with the version");
    let changes: [Change; 9] = [
        ("type", |case| case.device_type.id = DeviceTypeId(2)),
        ("contents of the type", |case| case.device_type.revision += 1),
        ("interval of the type", |case| case.device_type.update_frequency = Some(60)),
        ("the record", |case| case.profile.revision += 1),
        ("no location", |case| case.location = None),
        ("contents of the location", |case| case.location.as_mut().expect("one").revision += 1),
        ("organization", |case| case.organization.id = OrganizationId(2)),
        ("contents of the organization", |case| case.organization.revision += 1),
        ("tree", |case| case.state.data_model = DataModel::InternetGatewayDevice),
    ];
    for (what, change) in changes {
        let mut case = begin();
        change(&mut case);
        assert_ne!(case.basis().mark(), mark, "{what}");
    }
    let mut case = begin();
    case.state.informs += 1;
    case.profile.debug = true;
    assert_eq!(case.basis().mark(), mark, "what has no part in it");
}

/// The mark of a device of type 1 at location 4 in organization 1, TR-181, every revision 0.
const STORED: u64 = 8_352_231_083_374_504_521;
