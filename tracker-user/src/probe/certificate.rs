//! What stands in a certificate (X.509, RFC 5280): until when it is good, and for which names. Only what a report shows is
//! read; whether it is genuine is the verifier's matter.

use std::net::{Ipv4Addr, Ipv6Addr};

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OBJECT: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
/// Of the extension that holds the names (2.5.29.17).
const SUBJECT_ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// What a report shows of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// When it begins and ends to be good, in seconds since 1970.
    pub(super) validity: (i64, i64),
    /// The names and addresses that it is for.
    pub(super) names: Vec<String>,
    /// Its issuer has the name of its subject.
    pub(super) signs_itself: bool,
}

impl Certificate {
    /// Reads one in DER.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut whole = Reader(der);
        let mut outside = Reader(whole.expect(SEQUENCE)?);
        let mut fields = Reader(outside.expect(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.next()?;
        }
        let (_serial, _algorithm) = (fields.next()?, fields.next()?);
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Reader(fields.expect(SEQUENCE)?);
        let validity = (validity.time()?, validity.time()?);
        let subject = fields.expect(SEQUENCE)?;
        let mut names = Vec::new();
        while let Some((tag, content)) = fields.next() {
            if tag == EXTENSIONS {
                names = alternative_names(content).unwrap_or_default();
            }
        }
        Some(Self { validity, names, signs_itself: issuer == subject })
    }
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Reader(Reader(extensions).expect(SEQUENCE)?);
    let mut found = Vec::new();
    while let Some((SEQUENCE, extension)) = extensions.next() {
        let mut extension = Reader(extension);
        if extension.expect(OBJECT)? != SUBJECT_ALTERNATIVE_NAMES {
            continue;
        }
        let (mut tag, mut value) = extension.next()?;
        if tag == BOOLEAN {
            (tag, value) = extension.next()?;
        }
        // An octet string around a list.
        let mut names = Reader(Reader(if tag == 0x04 { value } else { return None }).expect(SEQUENCE)?);
        while let Some((tag, name)) = names.next() {
            match tag {
                DNS_NAME => found.push(super::shown::text(name)),
                IP_ADDRESS => found.extend(ip(name)),
                _ => {}
            }
        }
    }
    Some(found)
}

fn ip(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => bytes.first_chunk().map(|ip: &[u8; 4]| Ipv4Addr::from(*ip).to_string()),
        16 => bytes.first_chunk().map(|ip: &[u8; 16]| Ipv6Addr::from(*ip).to_string()),
        _ => None,
    }
}

/// Reads elements of DER one after another: a tag, a length, that many bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (length, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }

    /// A time, as seconds since 1970.
    fn time(&mut self) -> Option<i64> {
        let (tag, text) = self.next()?;
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = text.split_at_checked(2)?;
                let year = number(year)?;
                // RFC 5280, 4.1.2.5.1.
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4)?;
                (number(year)?, rest)
            }
            _ => return None,
        };
        let [month, day, hour, minute, second] =
            [0, 2, 4, 6, 8].map(|at| rest.get(at..at + 2).and_then(number));
        let days = days(year, month.filter(|month| (1..=12).contains(month))?, day?);
        Some(((days * 24 + hour?) * 60 + minute?) * 60 + second?)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| 10 * sum + i64::from(digit - b'0')))
}

/// Days from 1970 to a date of the Gregorian calendar, counted in years that begin in March.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let since_march = (month + 9) % 12;
    let before_year = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before_year + (since_march * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn made(names: &[&str], years: [i32; 2]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_before = date_time_ymd(years[0], 3, 1);
        parameters.not_after = date_time_ymd(years[1], 2, 28);
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    /// The numbers come from `date -u +%s`.
    #[test]
    fn what_another_library_writes_is_read() {
        let names = ["tracker.example", "192.0.2.1", "2001:db8::1"];
        let read = Certificate::read(&made(&names, [2024, 2027])).unwrap();
        assert_eq!(read.names, names);
        assert_eq!(read.validity, (1_709_251_200, 1_803_772_800));
        assert!(read.signs_itself);
        // From 2050 on times are written in another way.
        let read = Certificate::read(&made(&[], [1999, 2100])).unwrap();
        assert_eq!((read.names, read.validity), (vec![], (920_246_400, 4_107_456_000)));
    }

    #[test]
    fn what_is_cut_or_bent_is_no_panic() {
        let whole = made(&["tracker.example"], [2024, 2027]);
        for length in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0x80, 0x83, 0xff] {
                let mut bent = whole.clone();
                bent[at] = value;
                let _ = Certificate::read(&bent);
            }
        }
    }
}
