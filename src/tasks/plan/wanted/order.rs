//! In what order, and in how many calls, parameters are written.

use crate::types::path::ParameterPath;

/// Most parameters of one `SetParameterValues`: agents with small buffers choke on more.
pub(super) const WRITE_MAX: usize = 64;

/// What may cut the device off from acsd: it is written last (datamodel.md §9).
const CUTS_OFF: [&str; 17] = [
    "ManagementServer.URL",
    "ManagementServer.EnableCWMP",
    // TR-098.
    "WANDevice.",
    "Layer2Bridging.",
    "Layer3Forwarding.",
    // TR-181.
    "ATM.",
    "Cellular.",
    "DHCPv4.Client.",
    "DHCPv6.Client.",
    "DSL.",
    "Ethernet.Link.",
    "Ethernet.VLANTermination.",
    "IP.Interface.",
    "Optical.",
    "PPP.",
    "PTM.",
    "Routing.",
];

/// Whether a change of this parameter, or of a row of this table, may cut the device off.
pub(super) fn cuts_off(path: &str) -> bool {
    let below = path.split_once('.').map_or("", |(_, below)| below);
    CUTS_OFF.into_iter().any(|prefix| below.starts_with(prefix)) || path.to_ascii_uppercase().contains("VLAN")
}

/// Packs parameters (by their places, in order) into calls. Those of one object stay together where they fit.
pub(super) fn calls(parameters: &[(usize, &ParameterPath)]) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    for siblings in parameters.chunk_by(|(_, left), (_, right)| object(left) == object(right)) {
        for part in siblings.chunks(WRITE_MAX) {
            let places = part.iter().map(|(place, _)| *place);
            match calls.last_mut() {
                Some(call) if call.len() + part.len() <= WRITE_MAX => call.extend(places),
                _ => calls.push(places.collect()),
            }
        }
    }
    calls
}

fn object(path: &ParameterPath) -> &str {
    path.as_str().rsplit_once('.').map_or("", |(object, _)| object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_cut_the_device_off_is_known() {
        let risky = [
            "Device.ManagementServer.URL",
            "InternetGatewayDevice.ManagementServer.EnableCWMP",
            "InternetGatewayDevice.WANDevice.1.WANConnectionDevice.1.WANPPPConnection.1.Username",
            "Device.Ethernet.VLANTermination.",
            "Device.PPP.Interface.1.Password",
            "Device.X_VENDOR.VlanId",
        ];
        for path in risky {
            assert!(cuts_off(path), "{path}");
        }
        let harmless = [
            "Device.ManagementServer.PeriodicInformInterval",
            "Device.WiFi.SSID.1.SSID",
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID",
            "Device.Ethernet.Interface.1.Enable",
        ];
        for path in harmless {
            assert!(!cuts_off(path), "{path}");
        }
    }

    #[test]
    fn siblings_stay_in_one_call_where_they_fit() {
        let path = |object: usize, leaf: usize| ParameterPath::try_from(format!("Device.{object}.{leaf}").as_str());
        let paths: Vec<_> = (0..3).flat_map(|object| (0..40).map(move |leaf| path(object, leaf))).flatten().collect();
        let parameters: Vec<_> = paths.iter().enumerate().collect();
        let sizes: Vec<_> = calls(&parameters).iter().map(Vec::len).collect();
        assert_eq!(sizes, [40, 40, 40]);
        let many: Vec<_> = (0..130).map(|leaf| path(0, leaf)).collect::<Result<_, _>>().unwrap();
        let many: Vec<_> = many.iter().enumerate().collect();
        assert_eq!(calls(&many).iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 2]);
        assert!(calls(&[]).is_empty());
    }
}
