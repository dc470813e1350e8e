//! Tells of a certificate that is about to expire, wherever it is from.

use super::{Leaf, Source, Tls};
use crate::utc;
use std::{sync::Arc, time::Duration};

const DAY: u64 = 86_400;

/// So long before the end it is told, seconds.
const NOTICE: u64 = 14 * DAY;
/// Of certificates that live less than this it is told when a quarter of their time is left: they are renewed later than
/// [`NOTICE`] before their end. Seconds.
const SHORT_LIFE: u64 = 3 * NOTICE;
/// How often it is told again, seconds.
const BETWEEN_NOTICES: u64 = DAY;
/// How often it is looked.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3600);

/// Whether it is time to tell of a certificate's end, and when it was told.
#[derive(Debug, Default)]
struct Notices {
    /// Of which end, and when.
    last: Option<(u64, u64)>,
}

impl Notices {
    /// Whether this certificate's end is to be told of now. Both are noted.
    fn is_due(&mut self, leaf: &Leaf, now: u64) -> bool {
        let notice = if leaf.lifetime() < SHORT_LIFE { leaf.lifetime() / 4 } else { NOTICE };
        if now.saturating_add(notice) < leaf.not_after {
            return false;
        }
        let told = self.last.is_some_and(|(end, at)| {
            // A clock that was set back says nothing of how long ago it was.
            end == leaf.not_after && at <= now && now - at < BETWEEN_NOTICES
        });
        if !told {
            self.last = Some((leaf.not_after, now));
        }
        !told
    }
}

fn text(leaf: &Leaf, source: Source, now: u64) -> String {
    let end = utc::readable(leaf.not_after);
    let when = match leaf.not_after.checked_sub(now) {
        None | Some(0) => format!("has expired at {end}: clients refuse it"),
        Some(left) if left < DAY => format!("expires at {end}, in {} hours", left.div_ceil(3600)),
        Some(left) => format!("expires at {end}, in {} days", left / DAY),
    };
    let remedy = match source {
        Source::File => "renew it: the new files are taken up by themselves, or at `riptide control reload`",
        Source::Acme => "the lines that begin with `acme` say why there is no other yet",
    };
    format!("tls: the certificate for {} {when}; {remedy}", leaf.told_names())
}

impl Tls {
    /// Looks every hour whether the certificate is about to expire, and tells once a day. It never returns.
    pub async fn warn_of_expiry(self: Arc<Self>) {
        let mut notices = Notices::default();
        loop {
            let now = utc::wall();
            if let Some(leaf) = self.leaf()
                && notices.is_due(&leaf, now)
            {
                tracing::warn!("{}", text(&leaf, self.source(), now));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 1_799_884_800;

    fn leaf(days: u64) -> Leaf {
        Leaf {
            names: vec!["a.example".to_owned()],
            not_before: END - days * DAY,
            not_after: END,
            signs_itself: false,
        }
    }

    #[test]
    fn it_is_told_fourteen_days_before_and_then_once_a_day() {
        let mut notices = Notices::default();
        let mut told = |before: u64| notices.is_due(&leaf(90), END - before);
        assert!(!told(14 * DAY + 1));
        assert!(told(14 * DAY));
        assert!(!told(13 * DAY + 1));
        assert!(told(13 * DAY));
        // The clock was set back, and is right again.
        assert!(told(13 * DAY + 3600) && !told(13 * DAY));
        assert!(notices.is_due(&leaf(90), END + 40 * DAY));
    }

    #[test]
    fn another_certificate_is_told_of_by_itself() {
        let mut notices = Notices::default();
        assert!(notices.is_due(&leaf(90), END - DAY));
        let other = Leaf { not_after: END + DAY, ..leaf(90) };
        assert!(notices.is_due(&other, END - DAY + 1));
    }

    /// One of six days is renewed after four, when less than 14 days are left anyway.
    #[test]
    fn short_lives_are_told_of_when_a_quarter_is_left() {
        for (days, notice) in [(6, 6 * DAY / 4), (41, 41 * DAY / 4), (42, 14 * DAY), (45, 14 * DAY)] {
            assert!(!Notices::default().is_due(&leaf(days), END - notice - 1), "{days}");
            assert!(Notices::default().is_due(&leaf(days), END - notice), "{days}");
        }
    }

    #[test]
    fn the_text_says_when_and_what_to_do() {
        for (now, source, expected) in [
            (END - 13 * DAY - 5, Source::File, "expires at 2027-01-14 00:00:00 UTC, in 13 days; renew it"),
            (
                END - 3601,
                Source::Acme,
                "expires at 2027-01-14 00:00:00 UTC, in 2 hours; the lines that begin",
            ),
            (END, Source::File, "has expired at 2027-01-14 00:00:00 UTC: clients refuse it; renew it"),
        ] {
            let text = text(&leaf(90), source, now);
            let expected = format!("tls: the certificate for a.example {expected}");
            assert!(text.starts_with(&expected), "{text}\n{expected}");
        }
    }
}
