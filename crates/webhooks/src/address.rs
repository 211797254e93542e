//! Which addresses the outside world may be reached at: pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Somewhere on the internet.
    Public,
    /// This machine, its network, or a range that is not routed: only when the operator allows it.
    Private,
    /// Nobody's webhook lives there: metadata services of clouds, many machines at once, no machine.
    Never,
}

/// The kind of `address`. An IPv4 address inside an IPv6 one counts as what it is.
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// Metadata services of AWS and most other clouds, of ECS tasks, and of Alibaba.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// The one of AWS.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254);

/// The IANA special-purpose registry of IPv4 (RFC 6890): address and bits of each range that is not global.
const PRIVATE_V4: [(Ipv4Addr, u32); 12] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
];

fn reach_v4(address: Ipv4Addr) -> Reach {
    let number = u32::from(address);
    // 0.0.0.0/8 is this network, 224.0.0.0 and above are multicast, reserved and broadcast.
    if METADATA_V4.contains(&address) || number >> 24 == 0 || number >> 28 >= 0xe {
        return Reach::Never;
    }
    let within = |(range, bits): &(Ipv4Addr, u32)| number >> (32 - bits) == u32::from(*range) >> (32 - bits);
    match PRIVATE_V4.iter().any(within) {
        true => Reach::Private,
        false => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(inside) = embedded(address) {
        return reach_v4(inside);
    }
    let parts = address.segments();
    if address == METADATA_V6 || address.is_unspecified() || address.is_multicast() {
        return Reach::Never;
    }
    // Only 2000::/3 is routed; of it, IETF assignments and documentation are not.
    let is_routed = parts[0] & 0xe000 == 0x2000;
    let is_special = match parts[0] {
        0x2001 => parts[1] < 0x0200 || parts[1] == 0x0db8,
        0x3fff => parts[1] < 0x1000,
        _ => false,
    };
    match is_routed && !is_special {
        true => Reach::Public,
        false => Reach::Private,
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, translated (NAT64) or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        // The old "compatible" form; `::` and `::1` are none.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Reach) {
        assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            check(text, Reach::Public);
        }
    }

    #[test]
    fn inner_addresses_are_private_however_they_are_written() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.0.1",
            "100.64.0.1",
            "::1",
            "fe80::1",
            "fc00::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2001:0:1::",
        ] {
            check(text, Reach::Private);
        }
    }

    #[test]
    fn metadata_services_and_crowds_are_never_reached() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "100.100.100.200",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            check(text, Reach::Never);
        }
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_what_it_maps(bits: u32) {
            let inside = Ipv4Addr::from(bits);
            prop_assert_eq!(reach(inside.to_ipv6_mapped().into()), reach(inside.into()));
        }
    }
}
