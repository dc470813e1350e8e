use super::super::finding::Mark;
use super::*;

const NOW: u64 = 1_800_000_000;

fn certificate(days: i64) -> Leaf {
    Leaf {
        not_before: NOW - 30 * DAY,
        not_after: NOW.saturating_add_signed(days * DAY.cast_signed()) + 60,
        names: vec!["tracker.example".to_owned(), "192.0.2.1".to_owned()],
        signs_itself: false,
    }
}

fn said(certificate: &Leaf, sent: usize, verdict: Result<(), CertificateError>) -> (String, Mark, String) {
    let verdict = verdict.map_err(Error::InvalidCertificate);
    let (told, findings) = judge(Some(certificate), sent, &verdict, false, "tracker.example", NOW);
    let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    (told, findings.worst(), texts.join(" | "))
}

#[test]
fn a_certificate_that_is_good_is_told_of() {
    let (told, mark, text) = said(&certificate(61), 2, Ok(()));
    assert_eq!(told, "; certificate for tracker.example, 192.0.2.1, 61 days left");
    assert_eq!((mark, text), (Mark::Ok, String::new()));
    let many = Leaf { names: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(), ..certificate(61) };
    assert!(said(&many, 2, Ok(())).0.contains("for a, b, c and 2 more, "));
    assert_eq!(said(&certificate(14), 2, Ok(())).1, Mark::Ok);
    let (_, mark, text) = said(&certificate(13), 2, Ok(()));
    assert!(
        mark == Mark::Note && text == "the certificate ends in 13 days: see that it is renewed",
        "{text}"
    );
}

#[test]
fn what_clients_do_not_trust_is_wrong() {
    let itself = Leaf { signs_itself: true, ..certificate(61) };
    for (certificate, sent, reason, part) in [
        (itself, 1, CertificateError::UnknownIssuer, "signed by itself"),
        (certificate(61), 1, CertificateError::UnknownIssuer, "it came alone: serve the whole chain"),
        (certificate(61), 3, CertificateError::UnknownIssuer, "the chain of 3 certificates"),
        (
            certificate(61),
            2,
            CertificateError::NotValidForName,
            "for tracker.example, 192.0.2.1 and not for tracker",
        ),
        (certificate(-3), 2, CertificateError::Expired, "the certificate expired 2 days ago: renew it"),
        (certificate(61), 2, CertificateError::Expired, "do not trust the certificate"),
        (certificate(61), 2, CertificateError::Revoked, "do not trust the certificate"),
    ] {
        let (_, mark, text) = said(&certificate, sent, Err(reason));
        assert!(mark == Mark::Wrong && text.contains(part) && !text.contains(" | "), "{text}");
    }
    // It is told even where something else is worse.
    let old = Leaf { signs_itself: true, ..certificate(-400) };
    let (told, _, text) = said(&old, 1, Err(CertificateError::UnknownIssuer));
    assert!(
        text.starts_with("the certificate expired 399 days ago: renew it | the certificate is signed"),
        "{text}"
    );
    assert!(!told.contains("left"));
    let early = Leaf { not_before: NOW + 3 * DAY, not_after: NOW + 9 * DAY, ..certificate(1) };
    let (_, mark, text) = said(&early, 1, Err(CertificateError::NotValidYet));
    assert!(
        mark == Mark::Wrong && text == "the certificate is good only in 3 days: is a clock wrong?",
        "{text}"
    );
    let (_, findings) = judge(None, 1, &Ok(()), false, "a", NOW);
    assert_eq!(findings.worst(), Mark::Wrong);
    let (_, findings) = judge(Some(&certificate(61)), 1, &Ok(()), true, "a", NOW);
    assert_eq!(findings.worst(), Mark::Wrong);
}

#[test]
fn authorities_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("good.pem"), directory.path().join("bad.pem"));
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
    std::fs::write(&good, parameters.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&bad, "-----BEGIN CERTIFICATE-----\nMTIz\n-----END CERTIFICATE-----\n").unwrap();
    let without = Trust::load(None).unwrap().roots.len();
    assert_eq!(Trust::load(Some(&good)).unwrap().roots.len(), without + 1);
    assert!(matches!(Trust::load(Some(&bad)), Err(TrustError::NoCertificate(_))));
    assert!(matches!(Trust::load(Some(directory.path())), Err(TrustError::Unreadable { .. })));
}
