//! Which addresses webhooks may reach: public ones, and those that the configuration names.
//!
//! Whoever may start jobs chooses urls, and the server stands in networks that they don't: so what is not public is
//! refused, by the registries of special-purpose addresses (RFC 6890 and its IANA tables).

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// IPv4 addresses that are not public, and what they are.
const SPECIAL_V4: [(Ipv4Net, &str); 17] = [
    (v4([0, 0, 0, 0], 8), "an unspecified address"),
    (v4([10, 0, 0, 0], 8), "a private address"),
    (v4([100, 64, 0, 0], 10), "an address behind a carrier's NAT"),
    (v4([127, 0, 0, 0], 8), "a loopback address"),
    // The metadata services of the clouds: AWS, Google, Azure and others at 169.254.169.254, Azure also below.
    (v4([169, 254, 0, 0], 16), "a link-local address"),
    (v4([168, 63, 129, 16], 32), "the address of a cloud's metadata"),
    (v4([172, 16, 0, 0], 12), "a private address"),
    (v4([192, 0, 0, 0], 24), "an address for protocols"),
    (v4([192, 0, 2, 0], 24), "an address for documentation"),
    (v4([192, 88, 99, 0], 24), "the address of a 6to4 relay"),
    (v4([192, 168, 0, 0], 16), "a private address"),
    (v4([198, 18, 0, 0], 15), "an address for benchmarks"),
    (v4([198, 51, 100, 0], 24), "an address for documentation"),
    (v4([203, 0, 113, 0], 24), "an address for documentation"),
    (v4([224, 0, 0, 0], 4), "a multicast address"),
    (v4([255, 255, 255, 255], 32), "a broadcast address"),
    (v4([240, 0, 0, 0], 4), "a reserved address"),
];

/// IPv6 addresses that are not public, the narrower before the wider.
const SPECIAL_V6: [(Ipv6Net, &str); 13] = [
    (v6([0; 8], 128), "an unspecified address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "an address of a local NAT64"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
    // Both lead to an IPv4 address by way of a relay that is somebody else's.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "an address of a Teredo tunnel"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "an address of a 6to4 tunnel"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "an address for protocols"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "an address for documentation"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "an address for documentation"),
    (v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), "an address of the former 6bone"),
];

/// All that is public in IPv6 (RFC 4291, 2.4), but for the above.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// IPv4 addresses as a NAT64 writes them (RFC 6052).
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(segments: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// An address that webhooks don't reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {class}; webhooks reach only public addresses and those that webhook-allow names")]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// What it is.
    pub class: &'static str,
}

/// Says which addresses may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    allowed: Vec<IpNet>,
}

impl Guard {
    /// One that allows these networks besides the public addresses.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// The address to connect to, if it may be reached: an IPv4 address stays none when it is written as IPv6.
    ///
    /// # Errors
    /// What the address is, if it is not public and not allowed.
    pub fn check(&self, address: IpAddr) -> Result<IpAddr, Refused> {
        let address = address.to_canonical();
        let allowed = self.allowed.iter().any(|net| net.contains(&address));
        match class(address) {
            Some(class) if !allowed => Err(Refused { address, class }),
            _ => Ok(address),
        }
    }

    /// Checks a url that names an address instead of a host.
    ///
    /// # Errors
    /// As [`Guard::check`]; never for a host's name.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()).map(drop),
            Some(Host::Ipv6(address)) => self.check(address.into()).map(drop),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// What an address is, if it is not public.
fn class(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => SPECIAL_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, class)| *class),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            class(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(address) => {
            let special = SPECIAL_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, class)| *class);
            special.or((!GLOBAL_V6.contains(&address)).then_some("not a public address"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, address: &str) -> Result<IpAddr, &'static str> {
        guard.check(address.parse().expect(address)).map_err(|refused| refused.class)
    }

    #[test]
    fn only_public_addresses_pass() {
        let guard = Guard::default();
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "2001:200::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(check(&guard, public).is_ok(), "{public}");
        }
        for (special, sign) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "carrier"),
            ("100.100.100.200", "carrier"),
            ("100.127.255.255", "carrier"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.169.254", "link-local"),
            ("168.63.129.16", "metadata"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.192", "protocols"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("192.168.0.1", "private"),
            ("198.18.0.1", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "not a public"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.1.2.3", "private"),
            ("::ffff:0:127.0.0.1", "not a public"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b:1::808:808", "NAT64"),
            ("100::1", "not a public"),
            ("2001::1", "Teredo"),
            ("2001:20::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::1", "6to4"),
            ("3fff::1", "documentation"),
            ("5f00::1", "not a public"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ] {
            let class = check(&guard, special).expect_err(special);
            assert!(class.contains(sign), "{special}: {class}");
        }
    }

    #[test]
    fn the_configuration_opens_what_it_names_and_nothing_else() {
        let guard = Guard::new(vec!["10.1.0.0/16".parse().expect("a net"), "fd00::/8".parse().expect("a net")]);
        let plain: IpAddr = "10.1.2.3".parse().expect("an address");
        for open in ["10.1.2.3", "::ffff:10.1.2.3"] {
            assert_eq!(check(&guard, open), Ok(plain), "connects to the very address that was checked");
        }
        assert!(check(&guard, "fd00::1").is_ok());
        for closed in ["10.2.0.1", "127.0.0.1", "fe80::1", "64:ff9b::a01:203"] {
            assert!(check(&guard, closed).is_err(), "{closed}");
        }
    }

    #[test]
    fn urls_with_addresses_are_seen_through() {
        let refused = |url: &str| Guard::default().check_url(&Url::parse(url).expect(url)).is_err();
        for url in ["http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://0177.0.0.1/", "http://[::1]/"]
        {
            assert!(refused(url), "{url}");
        }
        assert!(!refused("http://localhost/"), "names are looked up later");
        assert!(!refused("http://8.8.8.8/"));
    }
}
