//! A scan for Wi-Fi networks: rows of TR-181, or of a vendor's table with other names.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostics::channels::{Band, Neighbor, Width, recommend, utilization};
use crate::diagnostics::readings::{Readings, Row};
use crate::model::device_type::NeighborScan;

/// Strengths of a signal in dBm, as TR-181 has them: 0 and a percentage or quality above it are none.
const DBM: Range<i64> = -200..0;

/// What came of it, of the band or radio that was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scan {
    /// As the device listed them.
    pub networks: Vec<Network>,
    /// Percent by channel: see [`crate::diagnostics::channels`].
    pub utilization: BTreeMap<u32, u32>,
    /// The channel to use.
    pub recommended: Option<u32>,
    /// The same for each band.
    pub recommended_by_band: BTreeMap<Band, u32>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Empty: hidden.
    pub ssid: String,
    /// MAC address of its access point.
    pub bssid: Option<String>,
    /// Primary channel.
    pub channel: Option<u32>,
    /// Band.
    pub band: Option<Band>,
    /// As the device has it: `80MHz`.
    pub bandwidth: Option<String>,
    /// Strength of the signal; `None`: the device says none, or a number that cannot be one.
    pub signal_dbm: Option<i64>,
    /// `None`, `WPA2`, ...
    pub security: Option<String>,
    /// `n,ac`, ...
    pub standards: Option<String>,
}

impl Scan {
    /// The strongest signal.
    #[must_use]
    pub fn strongest_dbm(&self) -> Option<i64> {
        self.networks.iter().filter_map(|network| network.signal_dbm).max()
    }
}

/// What of the scan was asked for.
enum Target<'t> {
    /// `all`: every network.
    All,
    /// One band.
    Band(Band),
    /// What one radio heard: its path without the final dot, or its name.
    Radio(&'t str),
}

impl<'t> Target<'t> {
    fn read(text: &'t str) -> Self {
        let text = text.trim();
        match Band::parse(text) {
            _ if text.is_empty() || text.eq_ignore_ascii_case("all") => Self::All,
            Some(band) => Self::Band(band),
            None => Self::Radio(text.strip_suffix('.').unwrap_or(text)),
        }
    }
}

pub(super) fn scan(readings: Readings<'_>, vendor: Option<&NeighborScan>, target: &str) -> Scan {
    let rows = match vendor {
        Some(scan) => readings.rows(scan.table.as_str()),
        None => readings.own_rows("Result."),
    };
    let column = |name: &'static str| -> &str {
        let mapped = vendor.and_then(|scan| scan.columns.iter().find(|(standard, _)| standard == name));
        mapped.map_or(name, |(_, own)| own.as_str())
    };
    let target = Target::read(target);
    let radio = match &target {
        Target::Radio(name) => Some(radio_path(readings, name)),
        Target::All | Target::Band(_) => None,
    };
    let is_wanted = |row: &Row<'_>, network: &Network| match (&target, &radio) {
        (Target::Band(band), _) => network.band == Some(*band),
        (Target::Radio(_), Some(radio)) => {
            let heard_by = row.text(&[column("Radio")]).unwrap_or_default();
            heard_by.strip_suffix('.').unwrap_or(heard_by).eq_ignore_ascii_case(radio)
        }
        (Target::Radio(_), None) | (Target::All, _) => true,
    };
    let networks: Vec<Network> = rows
        .iter()
        .map(|row| (row, network(row, column)))
        .filter(|(row, one)| is_wanted(row, one))
        .map(|(_, one)| one)
        .collect();
    let neighbors: Vec<Neighbor> = networks.iter().filter_map(neighbor).collect();
    let mut bands: Vec<Band> = match target {
        Target::Band(band) => vec![band],
        // Channels of the 6 GHz band bear the numbers of others: they are told of only when asked for.
        Target::All | Target::Radio(_) => [Band::Ghz2, Band::Ghz5]
            .into_iter()
            .filter(|band| neighbors.iter().any(|neighbor| neighbor.band == *band))
            .collect(),
    };
    if bands.is_empty() {
        bands.push(neighbors.first().map_or(Band::Ghz2, |neighbor| neighbor.band));
    }
    let used: BTreeMap<u32, u32> = bands.iter().flat_map(|band| utilization(*band, &neighbors)).collect();
    let recommended_by_band: BTreeMap<Band, u32> = bands.iter().map(|band| (*band, recommend(*band, &used))).collect();
    // Of several bands the one with the quietest channel; the lower one when they are equal.
    let share = |channel: &u32| used.get(channel).copied().unwrap_or(0);
    let recommended = recommended_by_band.values().copied().min_by_key(share);
    Scan { networks, utilization: used, recommended, recommended_by_band }
}

/// The path of a radio that was named by path, alias or name.
fn radio_path(readings: Readings<'_>, name: &str) -> String {
    const RADIOS: &str = "Device.WiFi.Radio.";
    let is = |value: Option<&str>| value.is_some_and(|value| value.eq_ignore_ascii_case(name));
    let named =
        readings.numbered_rows(RADIOS).into_iter().find(|(_, row)| is(row.text(&["Name"])) || is(row.text(&["Alias"])));
    named.map_or_else(|| name.to_owned(), |(instance, _)| format!("{RADIOS}{instance}"))
}

fn network<'c>(row: &Row<'_>, column: impl Fn(&'static str) -> &'c str) -> Network {
    let text = |name| row.text(&[column(name)]).map(str::to_owned);
    let channel = row.number(&[column("Channel")]).and_then(|channel| u32::try_from(channel).ok()).filter(|it| *it > 0);
    let band = row.text(&[column("OperatingFrequencyBand")]).and_then(Band::parse);
    Network {
        ssid: text("SSID").unwrap_or_default(),
        bssid: text("BSSID"),
        channel,
        band: band.or_else(|| Band::of_channel(channel?)),
        bandwidth: text("OperatingChannelBandwidth"),
        signal_dbm: row.signed(column("SignalStrength")).filter(|dbm| DBM.contains(dbm)),
        security: text("SecurityModeEnabled"),
        standards: text("OperatingStandards").or_else(|| text("SupportedStandards")),
    }
}

fn neighbor(network: &Network) -> Option<Neighbor> {
    Some(Neighbor {
        band: network.band?,
        channel: network.channel?,
        width: network.bandwidth.as_deref().map_or(Width::Mhz20, Width::parse),
        signal_dbm: network.signal_dbm,
    })
}

#[cfg(test)]
mod tests {
    use super::super::readings_of;
    use super::*;
    use crate::types::path::{ObjectPath, ParameterPath};

    const OBJECT: &str = "Device.WiFi.NeighboringWiFiDiagnostic.";

    fn of(target: &str) -> Scan {
        let values = [
            ("Result.1.Radio", "Device.WiFi.Radio.1."),
            ("Result.1.SSID", "upstairs"),
            ("Result.1.BSSID", "00:11:22:33:44:55"),
            ("Result.1.Channel", "1"),
            ("Result.1.SignalStrength", "-35"),
            ("Result.1.OperatingFrequencyBand", "2.4GHz"),
            ("Result.1.OperatingChannelBandwidth", "20MHz"),
            ("Result.1.SecurityModeEnabled", "WPA2"),
            ("Result.1.OperatingStandards", "g,n"),
            ("Result.2.Radio", "Device.WiFi.Radio.2"),
            ("Result.2.SSID", ""),
            ("Result.2.Channel", "36"),
            ("Result.2.SignalStrength", "-65"),
        ];
        let mut results = readings_of(OBJECT, &values);
        results.extend(readings_of("Device.WiFi.Radio.", &[("1.Name", "wl0"), ("2.Name", "wl1"), ("2.Channel", "40")]));
        scan(Readings::new(&results, OBJECT), None, target)
    }

    #[test]
    fn targets_choose_what_is_told() {
        let table =
            [("all", 2), ("2.4GHz", 1), ("5ghz", 1), ("6GHz", 0), ("Device.WiFi.Radio.2.", 1), ("WL1", 1), ("wl7", 0)];
        for (target, want) in table {
            assert_eq!(of(target).networks.len(), want, "{target}");
        }
        let low = of("2.4GHz");
        let upstairs = Network {
            ssid: "upstairs".to_owned(),
            bssid: Some("00:11:22:33:44:55".to_owned()),
            channel: Some(1),
            band: Some(Band::Ghz2),
            bandwidth: Some("20MHz".to_owned()),
            signal_dbm: Some(-35),
            security: Some("WPA2".to_owned()),
            standards: Some("g,n".to_owned()),
        };
        assert_eq!((low.networks.as_slice(), low.strongest_dbm()), (&[upstairs][..], Some(-35)));
        assert_eq!(low.utilization, BTreeMap::from([(1, 50), (6, 0), (11, 0)]));
        assert_eq!(low.recommended, Some(6));
        // A band that the device does not name follows from the channel.
        let high = of("wl1");
        assert_eq!((high.networks[0].band, high.utilization.get(&36)), (Some(Band::Ghz5), Some(&25)));
        assert_eq!(high.recommended, Some(40));
        let all = of("all");
        assert_eq!(all.recommended_by_band, BTreeMap::from([(Band::Ghz2, 6), (Band::Ghz5, 40)]));
        assert_eq!(all.recommended, Some(6));
    }

    #[test]
    fn a_strength_that_cannot_be_one_is_unknown() {
        // Of −70 dBm, as one without a strength: ½ · 25/60 = 20.8 %.
        let table = [
            ("61", None, 21),
            ("0", None, 21),
            ("-201", None, 21),
            ("(null)", None, 21),
            ("-200", Some(-200), 0),
            ("-1", Some(-1), 50),
            ("-65", Some(-65), 25),
        ];
        for (text, dbm, share) in table {
            let values = [("Result.1.Channel", "6"), ("Result.1.SignalStrength", text)];
            let found = scan(Readings::new(&readings_of(OBJECT, &values), OBJECT), None, "all");
            assert_eq!((found.networks[0].signal_dbm, found.strongest_dbm()), (dbm, dbm), "{text}");
            assert_eq!(found.utilization.get(&6), Some(&share), "{text}");
        }
    }

    #[test]
    fn a_network_without_a_channel_is_listed_and_not_counted() {
        let values = [
            ("Result.1.Channel", "0"),
            ("Result.1.SignalStrength", "-35"),
            ("Result.1.OperatingFrequencyBand", "2.4GHz"),
            ("Result.2.Channel", "1.0"),
            ("Result.2.SignalStrength", "-65"),
        ];
        let found = scan(Readings::new(&readings_of(OBJECT, &values), OBJECT), None, "all");
        assert_eq!((found.networks.len(), found.networks[0].channel, found.strongest_dbm()), (2, None, Some(-35)));
        assert_eq!(found.utilization, BTreeMap::from([(1, 25), (6, 0), (11, 0)]));
        assert_eq!(found.recommended, Some(6));
    }

    #[test]
    fn an_empty_scan_recommends_the_first_channel_of_its_band() {
        let empty = |target| scan(Readings::new(&[], OBJECT), None, target).recommended;
        assert_eq!((empty("all"), empty("5GHz"), empty("6GHz")), (Some(1), Some(36), Some(5)));
    }

    #[test]
    fn a_vendor_s_table_is_read_by_its_own_names() {
        let vendor = NeighborScan {
            state: ParameterPath::try_from("InternetGatewayDevice.X_Scan.State").expect("a path"),
            start: "Requested".to_owned(),
            done: Vec::new(),
            table: ObjectPath::try_from("InternetGatewayDevice.X_Scan.AP.").expect("a path"),
            columns: [("SSID", "Name"), ("Channel", "Ch"), ("SignalStrength", "RSSI")]
                .map(|(standard, own)| (standard.to_owned(), own.to_owned()))
                .to_vec(),
        };
        let values = [("AP.7.Name", "x"), ("AP.7.Ch", "11"), ("AP.7.RSSI", "-61.5 dBm"), ("AP.7.BSSID", "aa")];
        let results = readings_of("InternetGatewayDevice.X_Scan.", &values);
        let found = scan(Readings::new(&results, "InternetGatewayDevice.X_Scan."), Some(&vendor), "all");
        let network = &found.networks[0];
        assert_eq!((network.ssid.as_str(), network.channel, network.signal_dbm), ("x", Some(11), Some(-61)));
        assert_eq!(network.bssid.as_deref(), Some("aa"));
    }
}
