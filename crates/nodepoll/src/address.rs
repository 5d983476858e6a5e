use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Words that an [`Address`] takes in a record.
pub(crate) const ADDRESS_WORDS: usize = 6;

const FAMILY_UNIX: u32 = 1;
const FAMILY_IPV4: u32 = 4;
const FAMILY_IPV6: u32 = 6;

/// Where one end of a connection is.
///
/// In a record it takes six words: family in the upper and port in the lower half of the first,
/// then the address in network order (IPv4 uses one word of the four), then the IPv6 scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address.
    Inet(SocketAddr),
    /// A unix socket. Its path is known to whoever listens or dials, and is not repeated here.
    Unix,
}

impl Address {
    pub(crate) fn to_words(self) -> [i32; ADDRESS_WORDS] {
        let mut words = [0; ADDRESS_WORDS];
        match self {
            Self::Unix => words[0] = (FAMILY_UNIX << 16).cast_signed(),
            Self::Inet(address) => {
                let family = if address.is_ipv4() {
                    FAMILY_IPV4
                } else {
                    FAMILY_IPV6
                };
                words[0] = (family << 16 | u32::from(address.port())).cast_signed();
                match address {
                    SocketAddr::V4(v4) => words[1] = v4.ip().to_bits().cast_signed(),
                    SocketAddr::V6(v6) => {
                        let bits = v6.ip().to_bits();
                        for (index, word) in words[1..5].iter_mut().enumerate() {
                            let part = bits >> (96 - 32 * index) & u128::from(u32::MAX);
                            *word = u32::try_from(part).unwrap_or(u32::MAX).cast_signed();
                        }
                        words[5] = v6.scope_id().cast_signed();
                    }
                }
            }
        }
        words
    }

    pub(crate) fn from_words(words: &[i32]) -> Self {
        let word = |index: usize| words[index].cast_unsigned();
        let port = u16::try_from(word(0) & 0xffff).unwrap_or(0);
        match word(0) >> 16 {
            FAMILY_IPV4 => Self::Inet((IpAddr::V4(Ipv4Addr::from_bits(word(1))), port).into()),
            FAMILY_IPV6 => {
                let bits = (1..5).fold(0, |bits, index| bits << 32 | u128::from(word(index)));
                let ip = Ipv6Addr::from_bits(bits);
                Self::Inet(SocketAddrV6::new(ip, port, 0, word(5)).into())
            }
            _ => Self::Unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_address_survives_its_words() {
        for text in [
            "127.0.0.1:80",
            "255.255.255.255:65535",
            "[::1]:1",
            "[fe80::1%7]:9000",
        ] {
            let address = Address::Inet(text.parse().unwrap());
            assert_eq!(Address::from_words(&address.to_words()), address, "{text}");
        }
        assert_eq!(
            Address::from_words(&Address::Unix.to_words()),
            Address::Unix
        );
    }

    proptest! {
        #[test]
        fn h69_an_address_of_any_bits_survives_its_words(
            v4 in any::<bool>(),
            bits in any::<u128>(),
            port in any::<u16>(),
            scope in any::<u32>(),
        ) {
            let inet = if v4 {
                (Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap()), port).into()
            } else {
                SocketAddrV6::new(Ipv6Addr::from_bits(bits), port, 0, scope).into()
            };
            let address = Address::Inet(inet);
            prop_assert_eq!(Address::from_words(&address.to_words()), address);
        }

        #[test]
        fn words_of_any_bits_are_some_address(words in any::<[i32; ADDRESS_WORDS]>()) {
            let address = Address::from_words(&words);
            prop_assert_eq!(Address::from_words(&address.to_words()), address);
        }
    }
}
