//! `NeighboringWiFiDiagnostic`, and vendor tables like it: the networks around. A CPE always has the same neighbours.

use std::time::Duration;

use super::finding::{Finding, Inputs, Value, Values};
use super::network::{fingerprint, pick};

const DURATION: Duration = Duration::from_secs(6);
/// Most networks sit on the three channels that do not overlap.
const CHANNELS_2_4: [u64; 8] = [1, 6, 11, 1, 6, 11, 3, 9];
const CHANNELS_5: [u64; 8] = [36, 40, 44, 48, 52, 100, 116, 149];
const NAMES: [&str; 6] = ["home", "fritz", "cafe", "guest", "office", "attic"];

/// A band and what is particular to it.
struct Band {
    name: &'static str,
    radio: u64,
    channels: [u64; 8],
    standards: &'static str,
    widths: [&'static str; 4],
    rates: &'static str,
}

const BANDS: [Band; 2] = [
    Band {
        name: "2.4GHz",
        radio: 1,
        channels: CHANNELS_2_4,
        standards: "b,g,n,ax",
        widths: ["20MHz", "20MHz", "20MHz", "40MHz"],
        rates: "1,2,5.5,11",
    },
    Band {
        name: "5GHz",
        radio: 2,
        channels: CHANNELS_5,
        standards: "a,n,ac,ax",
        widths: ["20MHz", "40MHz", "80MHz", "80MHz"],
        rates: "6,12,24",
    },
];

pub(super) fn scan(inputs: &Inputs) -> Finding {
    let mut rows = Vec::new();
    for band in &BANDS {
        let seed = fingerprint(&[&inputs.serial, band.name]);
        let count = if band.radio == 1 { 6 + pick(seed, 1, 7) } else { 4 + pick(seed, 1, 6) };
        rows.extend((0..count).map(|number| network(inputs, band, fingerprint(&[&seed.to_string()]) ^ number)));
    }
    let mut finding = Finding::success(DURATION);
    finding.tables.push(("Result", rows));
    finding
}

fn network(inputs: &Inputs, band: &Band, seed: u64) -> Values {
    let choose = |purpose: u64, from: &[&'static str]| -> &'static str {
        let at = pick(seed, purpose, u64::try_from(from.len()).unwrap_or(1));
        from.get(usize::try_from(at).unwrap_or(0)).copied().unwrap_or_default()
    };
    let at = usize::try_from(pick(seed, 3, 8)).unwrap_or(0);
    let channel = band.channels.get(at).copied().unwrap_or(1);
    // One in eight hides its name.
    let ssid = match pick(seed, 4, 8) {
        0 => String::new(),
        _ => format!("{}-{:04x}", choose(5, &NAMES), pick(seed, 6, 0x1_0000)),
    };
    let signal = format!("-{}", 35 + pick(seed, 7, 58));
    let noise = format!("-{}", 90 + pick(seed, 8, 8));
    let bssid = (0..5).fold("02".to_owned(), |mac, byte| format!("{mac}:{:02x}", pick(seed, 10 + byte, 256)));
    let security = choose(9, &["WPA2", "WPA2", "WPA-WPA2", "WPA3-SAE", "WPA2-PSK-WPA3-SAE", "None"]);
    let encryption = match security {
        "None" => "",
        "WPA-WPA2" => "TKIP,AES",
        _ => "AES",
    };
    let width = choose(16, &band.widths);
    vec![
        ("Radio".into(), Value::Text(format!("{}WiFi.Radio.{}", inputs.root, band.radio))),
        ("SSID".into(), Value::Text(ssid)),
        ("BSSID".into(), Value::Text(bssid)),
        ("Mode".into(), Value::text("Infrastructure")),
        ("Channel".into(), Value::Number(channel)),
        ("SignalStrength".into(), Value::text(signal.as_str())),
        ("SecurityModeEnabled".into(), Value::text(security)),
        ("EncryptionMode".into(), Value::text(encryption)),
        ("OperatingFrequencyBand".into(), Value::text(band.name)),
        ("SupportedStandards".into(), Value::text(band.standards)),
        ("OperatingStandards".into(), Value::text(band.standards)),
        ("OperatingChannelBandwidth".into(), Value::text(width)),
        ("BeaconPeriod".into(), Value::Number(100)),
        ("Noise".into(), Value::text(noise)),
        ("BasicDataTransferRates".into(), Value::text(band.rates)),
        ("SupportedDataTransferRates".into(), Value::text(band.rates)),
        ("DTIMPeriod".into(), Value::Number(1 + pick(seed, 17, 3))),
        // The vendor's names.
        ("RSSI".into(), Value::Text(signal)),
        ("Bandwidth".into(), Value::text(width)),
        ("Band".into(), Value::text(band.name)),
        ("Standard".into(), Value::text(band.standards)),
        ("Security".into(), Value::text(security)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpe_has_its_own_neighbours_on_both_bands() {
        let found = |serial: &str| scan(&Inputs::with(serial, &[])).tables;
        let one = found("SN1");
        assert_eq!(one, found("SN1"));
        assert_ne!(one, found("SN2"));
        let band = |name: &str| one[0].1.iter().filter(|row| row[8].1 == Value::text(name)).count();
        assert!((6..=12).contains(&band("2.4GHz")) && (4..=9).contains(&band("5GHz")));
        let distinct: std::collections::BTreeSet<String> =
            one[0].1.iter().map(|row| format!("{:?}", row[2].1)).collect();
        assert_eq!(distinct.len(), one[0].1.len(), "each has a BSSID of its own");
    }
}
