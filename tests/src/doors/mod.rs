//! One suite of cases for every door: whatever can be seen of `protocol.md`'s HTTP and WebTorrent points from outside
//! must look the same over plain TCP, TLS and behind each kind of proxy.

pub mod announce;
pub mod rates;
pub mod relay;
pub mod requests;
pub mod signal;

use crate::{
    rig::Family,
    udp::{Id20, id20},
    web::house::{Client, House},
};

/// Makes one test of each case, at one [`Door`](crate::web::house::Door).
#[macro_export]
macro_rules! doors {
    ($door:expr) => {
        $crate::doors!($door;
            announce::a_reply_has_every_key,
            announce::seeders_are_given_leechers_only,
            announce::completed_is_counted_once,
            announce::stopped_removes_and_is_answered,
            announce::unknown_events_count_as_none,
            announce::a_peer_is_its_address_and_port,
            announce::both_families_are_given_to_each,
            announce::a_quarter_is_for_the_other_family,
            announce::peers_come_as_dictionaries_if_asked,
            announce::every_number_of_peers_is_understood,
            announce::claimed_addresses_are_ignored,
            announce::claimed_addresses_of_trusted_networks_count,
            announce::a_scrape_has_a_row_for_each_hash,
            requests::escapes_of_every_kind_are_read,
            requests::what_is_wrong_is_named,
            requests::odd_but_harmless_queries_are_answered,
            requests::paths_are_read_with_tolerance,
            requests::other_methods_are_refused,
            requests::pages_answer_head_and_options,
            requests::pipelined_requests_are_answered_in_order,
            requests::too_much_is_refused,
            requests::health_and_statistics_are_served,
            requests::requests_are_counted,
            rates::a_client_over_its_rate_is_told_when_to_come_back,
            signal::a_signal_reply_has_every_key,
            signal::completed_and_stopped_count,
            signal::one_connection_carries_many_torrents,
            signal::a_peer_id_is_taken_over_from_the_same_address_only,
            signal::scrapes_are_answered,
            signal::what_is_wrong_is_named_and_the_connection_stays,
            signal::control_frames_and_fragments_are_understood,
            signal::handshakes_that_are_none_are_refused,
            signal::messages_are_counted,
            relay::offers_go_to_that_many_others,
            relay::an_answer_goes_to_whom_made_the_offer,
            relay::an_offer_arrives_as_it_was_sent,
            relay::answers_that_nobody_asked_for_go_nowhere,
            relay::a_seeder_meets_leechers_only,
            relay::a_takeover_keeps_offers_answerable,
            relay::a_new_peer_id_replaces_the_old_one_of_its_connection,
        );
    };
    ($door:expr; $($module:ident::$case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::doors::$module::$case($door);
            }
        )*
    };
}

/// An info hash of its own for each case and family.
fn hash(case: &str, family: Family) -> Id20 {
    id20(case, u32::from(family == Family::V6))
}

/// A client on the first address.
fn client(house: &House, family: Family) -> Client {
    house.client(family, 1)
}
