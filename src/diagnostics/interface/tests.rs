use super::*;

fn found(model: DataModel, wish: &str, values: &[(&str, &str)]) -> Option<String> {
    resolve(model, &Wish::read(wish), &values.iter().copied().collect(), ROUNDS - 1)
}

const TR_181: [(&str, &str); 14] = [
    ("Device.IP.Interface.1.Name", "lo"),
    ("Device.IP.Interface.1.Loopback", "true"),
    ("Device.IP.Interface.2.Name", "br-lan"),
    ("Device.IP.Interface.2.Alias", "home"),
    ("Device.IP.Interface.2.LowerLayers", "Device.Ethernet.Link.1."),
    ("Device.IP.Interface.10.Name", "eth1"),
    ("Device.IP.Interface.10.Alias", "cpe-10"),
    ("Device.IP.Interface.10.LowerLayers", "Device.Ethernet.VLANTermination.1"),
    ("Device.IP.Interface.10.Status", "Up"),
    ("Device.Ethernet.Link.1.LowerLayers", "Device.Bridging.Bridge.1.Port.1."),
    ("Device.Ethernet.Link.2.LowerLayers", "Device.Ethernet.Interface.5"),
    ("Device.Ethernet.VLANTermination.1.LowerLayers", "Device.Ethernet.Link.2."),
    ("Device.Ethernet.Interface.5.Upstream", "1"),
    ("Device.Ethernet.Interface.5.Name", "wan"),
];

#[test]
fn sides_of_tr_181_are_found_by_the_layers_below() {
    let table = [
        ("wan", Some("Device.IP.Interface.10")),
        ("LAN", Some("Device.IP.Interface.2")),
        ("home", Some("Device.IP.Interface.2")),
        ("ETH1", Some("Device.IP.Interface.10")),
        ("cpe-10", Some("Device.IP.Interface.10")),
        ("nowhere", None),
        ("Device.IP.Interface.7.", Some("Device.IP.Interface.7")),
    ];
    for (wish, want) in table {
        assert_eq!(found(DataModel::Device, wish, &TR_181).as_deref(), want, "{wish}");
    }
}

#[test]
fn the_default_route_leads_to_the_wan() {
    let route = "Device.Routing.Router.1.IPv4Forwarding.";
    let routes = [
        (format!("{route}1.DestIPAddress"), "10.0.0.0"),
        (format!("{route}1.Interface"), "Device.IP.Interface.2"),
        (format!("{route}2.DestIPAddress"), "0.0.0.0"),
        (format!("{route}2.Interface"), "Device.IP.Interface.3."),
        (format!("{route}2.Enable"), "0"),
        (format!("{route}3.DestIPAddress"), ""),
        (format!("{route}3.Interface"), "Device.IP.Interface.4."),
    ];
    let values: Vec<(&str, &str)> = routes.iter().map(|(path, value)| (path.as_str(), *value)).collect();
    assert_eq!(found(DataModel::Device, "wan", &values).as_deref(), Some("Device.IP.Interface.4"));
    // An interface that bears the name goes before.
    let named = [&values[..], &[("Device.IP.Interface.9.Alias", "wan")]].concat();
    assert_eq!(found(DataModel::Device, "wan", &named).as_deref(), Some("Device.IP.Interface.9"));
}

#[test]
fn connections_of_tr_098_are_found_by_their_state() {
    let model = DataModel::InternetGatewayDevice;
    let device = "InternetGatewayDevice.WANDevice.1.WANConnectionDevice.";
    let values = [
        (format!("{device}1.WANIPConnection.1.ConnectionStatus"), "Connected"),
        (format!("{device}1.WANIPConnection.1.ConnectionType"), "IP_Bridged"),
        (format!("{device}1.WANIPConnection.1.Name"), "iptv"),
        (format!("{device}2.WANPPPConnection.1.ConnectionStatus"), "Connected"),
        (format!("{device}2.WANPPPConnection.1.ConnectionType"), "IP_Routed"),
        (format!("{device}2.WANPPPConnection.1.Name"), "INTERNET"),
    ];
    let mut values: Vec<(&str, &str)> = values.iter().map(|(path, value)| (path.as_str(), *value)).collect();
    let ppp = "InternetGatewayDevice.WANDevice.1.WANConnectionDevice.2.WANPPPConnection.1";
    assert_eq!(found(model, "wan", &values).as_deref(), Some(ppp));
    assert_eq!(found(model, "internet", &values).as_deref(), Some(ppp));
    values.push((DEFAULT_CONNECTION, "InternetGatewayDevice.WANDevice.1.WANConnectionDevice.1.WANIPConnection.1."));
    let default = found(model, "wan", &values);
    assert!(default.is_some_and(|path| path.ends_with("WANIPConnection.1")));
    let lan = [("InternetGatewayDevice.LANDevice.1.LANHostConfigManagement.IPInterface.1.Enable", "1")];
    let want = "InternetGatewayDevice.LANDevice.1.LANHostConfigManagement.IPInterface.1";
    assert_eq!(found(model, "lan", &lan).as_deref(), Some(want));
    assert_eq!(found(model, "lan", &[]), None);
}

#[test]
fn a_device_without_ipv4_has_its_default_route_in_ipv6() {
    let router = "Device.Routing.Router.1.";
    let routes = [
        (format!("{router}IPv4Forwarding.1.DestIPAddress"), "192.168.0.0"),
        (format!("{router}IPv4Forwarding.1.Interface"), "Device.IP.Interface.2"),
        (format!("{router}IPv6Forwarding.1.DestIPPrefix"), "2001:db8::/32"),
        (format!("{router}IPv6Forwarding.1.Interface"), "Device.IP.Interface.2"),
        (format!("{router}IPv6Forwarding.2.DestIPPrefix"), "::/0"),
        (format!("{router}IPv6Forwarding.2.Enable"), "false"),
        (format!("{router}IPv6Forwarding.2.Interface"), "Device.IP.Interface.3"),
        (format!("{router}IPv6Forwarding.3.DestIPPrefix"), "::/0"),
        (format!("{router}IPv6Forwarding.3.Interface"), "Device.IP.Interface.6."),
    ];
    let mut values: Vec<(&str, &str)> = routes.iter().map(|(path, value)| (path.as_str(), *value)).collect();
    assert_eq!(found_in_rounds(DataModel::Device, "wan", &values).as_deref(), Some("Device.IP.Interface.6"));
    // That interface is not the LAN, whatever lies below it.
    values.extend([
        ("Device.IP.Interface.6.LowerLayers", "Device.Bridging.Bridge.1.Port.1"),
        ("Device.IP.Interface.7.LowerLayers", "Device.Bridging.Bridge.2.Port.1"),
    ]);
    assert_eq!(found_in_rounds(DataModel::Device, "lan", &values).as_deref(), Some("Device.IP.Interface.7"));
}

#[test]
fn a_default_route_that_works_goes_before_one_that_does_not() {
    let route = |version: u8, number: u8, destination: &'static str, interface: &'static str, status: &'static str| {
        let object = format!("Device.Routing.Router.1.IPv{version}Forwarding.{number}.");
        let leaf = if version == 4 { "DestIPAddress" } else { "DestIPPrefix" };
        [
            (format!("{object}{leaf}"), destination),
            (format!("{object}Enable"), "true"),
            (format!("{object}Status"), status),
            (format!("{object}Interface"), interface),
        ]
    };
    let (one, two, three) = ("Device.IP.Interface.1", "Device.IP.Interface.2", "Device.IP.Interface.3");
    let table = [
        ("in error", vec![route(4, 1, "", three, "Error_Misconfigured"), route(4, 2, "0.0.0.0", two, "Enabled")], two),
        ("another version", vec![route(4, 1, "", three, "Error"), route(6, 1, "::/0", two, "Enabled")], two),
        ("both in error", vec![route(4, 1, "", three, "Error"), route(6, 1, "::/0", two, "Error")], three),
        ("its interface is down", vec![route(4, 1, "", one, "Enabled"), route(4, 2, "", two, "Enabled")], two),
        (
            "spelled out",
            vec![route(6, 1, "0:0:0:0:0:0:0:0/0", two, "Enabled"), route(6, 2, "::/64", three, "Enabled")],
            two,
        ),
        ("nothing is said", vec![route(6, 1, "", two, ""), route(4, 1, "", three, "")], three),
    ];
    for (case, routes, expected) in table {
        let mut values: Vec<(&str, &str)> =
            routes.iter().flatten().map(|(path, value)| (path.as_str(), *value)).collect();
        values.push(("Device.IP.Interface.1.Status", "Down"));
        values.push(("Device.IP.Interface.2.Status", "Up"));
        assert_eq!(found(DataModel::Device, "wan", &values).as_deref(), Some(expected), "{case}");
    }
    let (mut metrics, object) = (Vec::new(), "Device.Routing.Router.1.IPv4Forwarding.");
    for (number, metric, interface) in [(1, "10", one), (2, "1", two), (3, "20", three)] {
        metrics.push((format!("{object}{number}.DestIPAddress"), "0.0.0.0"));
        metrics.push((format!("{object}{number}.ForwardingMetric"), metric));
        metrics.push((format!("{object}{number}.Interface"), interface));
    }
    let values: Vec<(&str, &str)> = metrics.iter().map(|(path, value)| (path.as_str(), *value)).collect();
    assert_eq!(found(DataModel::Device, "wan", &values).as_deref(), Some(two), "the least metric");
}

#[test]
fn without_routes_and_layers_an_address_from_outside_tells() {
    let values = [
        ("Device.IP.Interface.1.Loopback", "1"),
        ("Device.IP.Interface.1.IPv4Address.1.AddressingType", "DHCP"),
        ("Device.IP.Interface.2.IPv4Address.1.AddressingType", "Static"),
        ("Device.IP.Interface.3.IPv4Address.1.AddressingType", "DHCP"),
        ("Device.IP.Interface.4.IPv4Address.1.AddressingType", "DHCP"),
        ("Device.IP.Interface.4.Status", "Up"),
        ("Device.IP.Interface.5.IPv4Address.2.AddressingType", "IPCP"),
    ];
    let found = |values| found_in_rounds(DataModel::Device, "wan", values);
    assert_eq!(found(&values).as_deref(), Some("Device.IP.Interface.5"));
    assert_eq!(found(&values[..6]).as_deref(), Some("Device.IP.Interface.4"));
    assert_eq!(found(&values[..3]), None);
    // The layers say more, though they are read later.
    let layers = [
        ("Device.IP.Interface.2.LowerLayers", "Device.Ethernet.Link.1"),
        ("Device.Ethernet.Link.1.LowerLayers", "Device.Ethernet.Interface.5"),
        ("Device.Ethernet.Interface.5.Upstream", "true"),
    ];
    assert_eq!(found(&[&values[..], &layers].concat()).as_deref(), Some("Device.IP.Interface.2"));
}

#[test]
fn objects_of_the_same_number_in_different_tables_are_told_apart() {
    // Every dual-stack router has a default route 1 of both versions of IP.
    let router = "Device.Routing.Router.1.";
    let routes = [
        (format!("{router}IPv4Forwarding.1.DestIPAddress"), ""),
        (format!("{router}IPv4Forwarding.1.Interface"), "Device.IP.Interface.4"),
        (format!("{router}IPv6Forwarding.1.DestIPPrefix"), "::/0"),
        (format!("{router}IPv6Forwarding.1.Interface"), "Device.IP.Interface.5"),
    ];
    let values: Vec<(&str, &str)> = routes.iter().map(|(path, value)| (path.as_str(), *value)).collect();
    assert_eq!(found(DataModel::Device, "wan", &values).as_deref(), Some("Device.IP.Interface.4"));

    let model = DataModel::InternetGatewayDevice;
    let device = "InternetGatewayDevice.WANDevice.1.WANConnectionDevice.1.";
    let connections = [
        (format!("{device}WANIPConnection.1.ConnectionStatus"), "Connected"),
        (format!("{device}WANIPConnection.1.Name"), "voip"),
        (format!("{device}WANPPPConnection.1.ConnectionStatus"), "Disconnected"),
        (format!("{device}WANPPPConnection.1.Name"), "internet"),
        (format!("{device}X_Link.1.Enable"), "1"),
    ];
    let values: Vec<(&str, &str)> = connections.iter().map(|(path, value)| (path.as_str(), *value)).collect();
    let ip = format!("{device}WANIPConnection.1");
    assert_eq!(found(model, "wan", &values), Some(ip.clone()));
    assert_eq!(found(model, "voip", &values), Some(ip));
    assert_eq!(found(model, "internet", &values), Some(format!("{device}WANPPPConnection.1")));
}

/// What is found when no more is read than has to be.
fn found_in_rounds(model: DataModel, wish: &str, values: &[(&str, &str)]) -> Option<String> {
    let wish = Wish::read(wish);
    let mut read = BTreeMap::new();
    (0..ROUNDS).find_map(|round| {
        let is_read = |path: &str| reads(model, &wish, round).iter().any(|asked| path.starts_with(asked));
        read.extend(values.iter().copied().filter(|(path, _)| is_read(path)));
        resolve(model, &wish, &read, round)
    })
}

#[test]
fn the_bridge_is_the_lan_not_the_guests_network() {
    let values = [
        ("Device.IP.Interface.1.LowerLayers", "Device.WiFi.SSID.2"),
        ("Device.IP.Interface.1.Status", "Up"),
        ("Device.IP.Interface.2.LowerLayers", "Device.Ethernet.Link.1"),
        ("Device.Ethernet.Link.1.LowerLayers", "Device.Bridging.Bridge.1.Port.1"),
    ];
    let found = |values| found_in_rounds(DataModel::Device, "lan", values);
    assert_eq!(found(&values).as_deref(), Some("Device.IP.Interface.2"));
    // An access point may have no other.
    assert_eq!(found(&values[..2]).as_deref(), Some("Device.IP.Interface.1"));
    assert_eq!(found_in_rounds(DataModel::Device, "wan", &TR_181).as_deref(), Some("Device.IP.Interface.10"));
}

#[test]
fn a_stack_that_runs_in_a_circle_ends() {
    let values = [("Device.IP.Interface.1.LowerLayers", "Device.IP.Interface.1"), ("Device.IP.Interface.1.Name", "x")];
    assert_eq!(found(DataModel::Device, "wan", &values), None);
}
