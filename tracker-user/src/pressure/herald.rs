//! What the log tells of pressure: that it has begun, and that it is over, and seldom.

use std::time::{Duration, Instant};
use tracker_core::{
    admission::Admission,
    pressure::{Load, Pressure},
};

/// Between two lines.
const BETWEEN: Duration = Duration::from_secs(60);
/// Less of it is not worth a line.
const WORTH_A_LINE: f64 = 0.05;

/// Remembers what it has said.
#[derive(Debug, Default)]
pub(super) struct Herald {
    last: Option<Instant>,
    /// Whether the last line said that there is pressure.
    pressed: bool,
}

impl Herald {
    /// The line that is due.
    pub(super) fn say(
        &mut self,
        pressure: &Pressure,
        load: &Load,
        admission: &Admission,
        now: Instant,
    ) -> Option<String> {
        let is_news = match self.pressed {
            true => pressure.is_none(),
            false => pressure.stretch().max(pressure.squeeze()) >= WORTH_A_LINE,
        };
        if !is_news || self.last.is_some_and(|last| now.duration_since(last) < BETWEEN) {
            return None;
        }
        (self.last, self.pressed) = (Some(now), !self.pressed);
        let measures = pressure.measures(admission.max_num_want);
        let interval = admission.present_interval(measures);
        Some(match self.pressed {
            false => {
                format!("pressure is over: clients announce every {interval} s again, and lists are whole")
            }
            true => format!(
                "pressure has begun, since {}: clients are told to announce every {interval} s, up to {} s as it grows; \
                 replies by UDP list {} peers at most",
                reason(load),
                admission.max_interval.max(admission.interval),
                admission.most_by_udp(measures)
            ),
        })
    }
}

/// What presses most.
fn reason(load: &Load) -> String {
    let Load { peers, busy, announces, egress } = *load;
    let causes = [
        (peers, "of limits.peers are stored"),
        (busy, "of their time the workers are busy"),
        (announces, "of swarm.full_load_announces come"),
        (egress, "of limits.udp_bytes_per_second are sent"),
    ];
    let (share, what) =
        causes.into_iter().fold((0.0, ""), |most, cause| if cause.0 > most.0 { cause } else { most });
    format!("{:.0} % {what}", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_told_and_at_most_once_a_minute() {
        let (admission, mut herald, start) = (Admission::default(), Herald::default(), Instant::now());
        let calm = Pressure::default();
        let full = |peers| Load { peers, ..Load::default() };
        let pressed = calm.next(&full(0.8), 1.0, 3600);
        let mut say = |pressure: Pressure, load: Load, seconds| {
            herald.say(&pressure, &load, &admission, start + Duration::from_secs(seconds))
        };
        assert_eq!(say(calm, full(0.1), 0), None);
        // Too little to speak of.
        assert_eq!(say(calm.next(&full(0.61), 1.0, 3600), full(0.61), 1), None);
        assert_eq!(
            say(pressed, full(0.8), 2).unwrap(),
            "pressure has begun, since 80 % of limits.peers are stored: clients are told to announce every 2700 s, up to \
             3600 s as it grows; replies by UDP list 200 peers at most"
        );
        assert_eq!(say(pressed, full(0.9), 70), None);
        let over = say(calm, full(0.1), 71).unwrap();
        assert_eq!(over, "pressure is over: clients announce every 1800 s again, and lists are whole");
        // It swings: what is not said at once is said a minute later, if it is true then.
        assert_eq!(say(pressed, full(0.8), 72), None);
        assert_eq!(say(calm, full(0.1), 131), None);
        assert!(say(pressed, full(0.8), 132).is_some());
    }

    #[test]
    fn the_greatest_cause_is_named() {
        let load = Load { peers: 0.5, busy: 0.6, announces: 0.7, egress: 1.204 };
        assert_eq!(reason(&load), "120 % of limits.udp_bytes_per_second are sent");
        assert_eq!(reason(&Load { egress: 0.0, ..load }), "70 % of swarm.full_load_announces come");
        assert_eq!(reason(&Load { busy: 0.8, ..Load::default() }), "80 % of their time the workers are busy");
    }
}
