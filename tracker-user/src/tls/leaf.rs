//! What a certificate (X.509, RFC 5280) says: whom it is for, and for how long. Whether it is genuine is the verifier's matter.

use rustls::pki_types::CertificateDer;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// What the first certificate of a chain says. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The names and addresses that it is for, in its order.
    pub names: Vec<String>,
    /// It is not valid before.
    pub not_before: u64,
    /// It is not valid after.
    pub not_after: u64,
    /// Whether its issuer has the name of its subject.
    pub signs_itself: bool,
}

impl Leaf {
    /// Reads a certificate, if it can be read.
    #[must_use]
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(certificate).ok()?;
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
        Some(Self {
            names: names.filter_map(name).collect(),
            not_before: seconds(parsed.validity().not_before),
            not_after: seconds(parsed.validity().not_after),
            signs_itself: parsed.issuer().as_raw() == parsed.subject().as_raw(),
        })
    }

    /// For how long it is made, seconds.
    #[must_use]
    pub const fn lifetime(&self) -> u64 {
        self.not_after.saturating_sub(self.not_before)
    }

    /// Whether it is valid at this time.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whom it is for, as the log tells.
    #[must_use]
    pub fn told_names(&self) -> String {
        if self.names.is_empty() { "no name".to_owned() } else { self.names.join(", ") }
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
            let v6 = || <[u8; 16]>::try_from(*bytes).map(|octets| IpAddr::from(Ipv6Addr::from(octets)));
            Some(v4.or_else(|_| v6()).ok()?.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn names_and_times_are_read() {
        let names = ["tracker.example", "192.0.2.1", "2001:db8::1"];
        let mut parameters = CertificateParams::new(names.map(str::to_owned)).unwrap();
        parameters.not_before = date_time_ymd(2026, 11, 30);
        parameters.not_after = date_time_ymd(2027, 1, 14);
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let leaf = Leaf::read(certificate.der()).unwrap();
        assert_eq!(leaf.names, names);
        // As `date -u -d 2026-11-30 +%s` tells.
        assert_eq!((leaf.not_before, leaf.not_after), (1_795_996_800, 1_799_884_800));
        assert!(leaf.signs_itself);
        assert_eq!(leaf.lifetime(), 45 * 86_400);
        assert!(
            leaf.is_valid(1_795_996_800) && !leaf.is_valid(1_795_996_799) && !leaf.is_valid(1_799_884_801)
        );
    }

    #[test]
    fn who_is_signed_by_another_does_not_sign_itself() {
        let [own, theirs] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        let issuer = rcgen::Issuer::new(authority, theirs);
        let parameters = CertificateParams::new(vec!["tracker.example".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&own, &issuer).unwrap();
        assert!(!Leaf::read(certificate.der()).unwrap().signs_itself);
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        for bytes in [&b""[..], b"\x30\x00", &[0xff; 64]] {
            assert_eq!(Leaf::read(&CertificateDer::from(bytes)), None);
        }
    }
}
