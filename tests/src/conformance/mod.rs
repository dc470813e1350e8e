//! One suite of cases for every path: whatever can be seen of `protocol.md` from outside must look the same through
//! the kernel, AF_XDP and ordinary sockets, over IPv4 and IPv6.

pub mod accounting;
pub mod identity;
pub mod rates;
pub mod requests;
pub mod swarm;

use crate::{
    metrics::Metrics,
    rig::{Family, Rig},
    udp::{Client, Id20, id20},
};

/// Makes one test of each case, on one [`Path`](crate::rig::Path).
#[macro_export]
macro_rules! conformance {
    ($path:expr) => {
        $crate::conformance!($path;
            requests::a_connect_reply_is_sixteen_bytes,
            requests::options_and_longer_requests_are_accepted,
            requests::short_and_unknown_requests_are_dropped_and_counted,
            requests::negative_zero_and_huge_numbers_of_peers,
            requests::the_datagram_budget_bounds_a_reply,
            requests::scrapes_are_answered_in_order,
            requests::a_scrape_of_too_many_hashes_is_cut,
            requests::port_zero_is_dropped_and_counted,
            requests::the_ip_field_is_ignored,
            requests::replies_come_from_the_address_that_was_asked,
            requests::random_datagrams_do_no_harm,
            swarm::the_announcer_is_counted_but_not_listed,
            swarm::seeders_are_given_leechers_only,
            swarm::completed_is_counted_once,
            swarm::stopped_removes_and_is_answered,
            swarm::unknown_events_count_as_none,
            swarm::a_paused_peer_is_a_partial_seed,
            swarm::a_peer_is_its_address_and_port,
            swarm::both_families_count_together,
            swarm::downloads_outlive_the_peers,
            swarm::a_silent_peer_is_forgotten,
            swarm::every_peer_is_handed_out_about_equally,
            identity::an_id_is_valid_from_every_port_of_an_address,
            identity::an_id_is_valid_on_every_port_of_the_tracker,
            identity::an_id_is_bound_to_its_address,
            identity::forged_ids_are_dropped_and_counted,
            identity::ids_survive_a_restart,
            rates::a_client_over_its_rate_is_dropped_and_counted,
            rates::forged_requests_spend_no_share,
            rates::connects_over_their_rate_are_dropped_and_counted,
            rates::a_reload_switches_rates_on_and_off,
            accounting::every_reply_is_counted_by_path,
            accounting::peers_and_torrents_are_gauged,
            accounting::a_refusal_is_an_error_reply,
        );
    };
    ($path:expr; $($module:ident::$case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::$module::$case($path);
            }
        )*
    };
}

/// An info hash of its own for each case and family.
fn hash(case: &str, family: Family) -> Id20 {
    id20(case, u32::from(family == Family::V6))
}

/// A client on the first address.
fn client(rig: &Rig, family: Family) -> Client {
    rig.client(family, 1)
}

/// Datagrams dropped so far, for any reason, in one family where metrics tell it apart.
fn dropped(metrics: &Metrics, labels: &[(&str, &str)]) -> f64 {
    metrics.sum("riptide_udp_dropped_total", labels)
}

/// Checks that `send` has so many datagrams dropped, for this reason if one is given, and none of them answered.
fn assert_drops(rig: &Rig, client: &Client, count: usize, reason: &[(&str, &str)], send: impl FnOnce()) {
    let before = rig.settled();
    let expected = u32::try_from(count).map(f64::from).expect("a small number");
    send();
    client.fence();
    let after = rig.riptide().metrics_until(&format!("{count} drops {reason:?}"), |metrics| {
        let more = dropped(metrics, reason) - dropped(&before, reason);
        assert!(more <= expected, "{more} drops {reason:?} of {count}:\n{}", metrics.text);
        more == expected
    });
    assert_eq!(
        dropped(&after, &[]) - dropped(&before, &[]),
        expected,
        "drops for other reasons:\n{}",
        after.text
    );
    // None was answered: the clients know of every reply that the tracker counts.
    let _ = rig.settled();
    assert_eq!(client.take_arrived(), Vec::<Vec<u8>>::new());
}
