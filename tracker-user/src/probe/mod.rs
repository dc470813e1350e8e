//! `riptide probe URL`: asks any tracker as two clients would, and says what is wrong.
//!
//! Asking is apart from judging: `udp`, `http` and `ws` send and receive, over connections of `dial`, `tls` and `fetch`;
//! `udp_reply`, `http_reply`, and `ws_message` read what came, and `told` judges it, as pure functions from
//! what came to findings. Nothing is sent that two ordinary clients would not send, to a torrent that was made up unless
//! one is named.

mod bencode;
mod dial;
mod fetch;
mod finding;
mod http;
mod http_reply;
mod json;
mod names;
mod party;
mod report;
mod shown;
mod target;
mod tls;
mod told;
mod trouble;
mod udp;
mod udp_reply;
mod ws;
mod ws_message;

use crate::{
    cli::ProbeArgs,
    config::parse_duration,
    exit::{self, Exit},
};
use dial::Dialer;
use finding::{Mark, Place, Step};
use names::Families;
use party::Party;
use report::{Report, Style};
use std::{io, net::SocketAddr, ops::RangeInclusive, time::Duration};
use target::{Scheme, Target, UrlError};
use tls::{Trust, TrustError};
use tokio::time::Instant;
use tracker_common::hex;

/// What `--timeout` may be.
const PATIENCE: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(120);

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("{0}")]
    Url(#[from] UrlError),
    #[error("--timeout: {0}")]
    Duration(String),
    #[error("--timeout: `{0}` is out of range: it goes from 50ms to 2m")]
    Patience(String),
    #[error(
        "--info-hash: `{0}` is no info hash: it has 40 hexadecimal digits, or 64 of which the first 40 count"
    )]
    InfoHash(String),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("the system gives no randomness or no thread: {0}")]
    System(#[from] io::Error),
}

/// What is to be done, read from the command line.
struct Plan {
    /// The announce address as it was typed.
    url: String,
    target: Target,
    families: Families,
    patience: Duration,
    info_hash: Option<[u8; 20]>,
    trust: Trust,
    json: bool,
}

impl Plan {
    fn of(args: &ProbeArgs) -> Result<Self, ProbeError> {
        let patience = parse_duration(&args.timeout).map_err(ProbeError::Duration)?;
        if !PATIENCE.contains(&patience) {
            return Err(ProbeError::Patience(args.timeout.clone()));
        }
        let info_hash = args.info_hash.as_deref().map(info_hash).transpose()?;
        let families = match (args.ipv4, args.ipv6) {
            (true, false) => Families::Ipv4,
            (false, true) => Families::Ipv6,
            _ => Families::Both,
        };
        let target = Target::parse(&args.url)?;
        let trust = match target.scheme.is_secure() || args.ca.is_some() {
            true => Trust::load(args.ca.as_deref())?,
            false => Trust::nobody(),
        };
        Ok(Self { url: args.url.clone(), target, families, patience, info_hash, trust, json: args.json })
    }
}

/// An info hash of either version (BEP 3; BEP 52, of which trackers get the first 20 bytes).
fn info_hash(text: &str) -> Result<[u8; 20], ProbeError> {
    let wrong = || ProbeError::InfoHash(text.to_owned());
    match text.len() {
        64 => hex::decode::<32>(text.as_bytes())
            .and_then(|bytes| bytes.first_chunk().copied())
            .ok_or_else(wrong),
        _ => hex::decode(text.as_bytes()).ok_or_else(wrong),
    }
}

/// Asks, prints a report, and says how it ended: [`Exit::Failed`] if anything is wrong, [`Exit::Usage`] if nothing could be
/// asked since the command line is wrong.
#[must_use]
pub fn run(args: &ProbeArgs) -> Exit {
    let plan = match Plan::of(args) {
        Ok(plan) => plan,
        Err(error @ ProbeError::System(_)) => return Exit::Failed.because(&error),
        Err(error) => return Exit::Usage.because(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::Failed.because(&ProbeError::System(error)),
    };
    let exit = runtime.block_on(probe(&plan)).unwrap_or_else(|error| Exit::Failed.because(&error));
    // A name that is still being looked up holds nobody up.
    runtime.shutdown_background();
    exit
}

/// Asks at one address after the other, so that none disturbs the times of another, and prints what came of each.
async fn probe(plan: &Plan) -> Result<Exit, ProbeError> {
    let style = Style::of_standard_output();
    let mut report = Report { url: plan.url.clone(), name: None, places: Vec::new() };
    let addresses = look_up(plan, &mut report).await;
    let mut printed = say(plan, &style.heading(&report));
    for address in addresses {
        let place = ask(plan, address).await?;
        printed = worse(printed, say(plan, &style.place(&place)));
        report.places.push(place);
    }
    printed = worse(printed, say(plan, &style.conclusion(&report)));
    if plan.json {
        printed = exit::print(&json::render(&report));
    }
    Ok(if report.worst() == Mark::Wrong { Exit::Failed } else { printed })
}

/// Prints to people.
fn say(plan: &Plan, text: &str) -> Exit {
    if plan.json { Exit::Clean } else { exit::print(text) }
}

fn worse(one: Exit, other: Exit) -> Exit {
    if one == Exit::Clean { other } else { one }
}

/// Where the tracker is to be asked; what was learned of its name goes into the report.
async fn look_up(plan: &Plan, report: &mut Report) -> Vec<SocketAddr> {
    let began = Instant::now();
    let found = names::resolve(&plan.target, plan.families, plan.patience).await;
    let step = Step::new("name", None);
    let (step, addresses) = match found {
        Err(error) => (step.wrong(error.to_string()), Vec::new()),
        Ok(found) => {
            let told: Vec<String> = found.asked.iter().map(|address| address.ip().to_string()).collect();
            let mut step = step.took(began.elapsed()).told(told.join(", "));
            if found.more > 0 {
                step = step.note(format!(
                    "{} more were not asked: {} of each family are enough",
                    found.more,
                    names::MOST_ADDRESSES
                ));
            }
            (step, found.asked)
        }
    };
    // Of an address there is nothing to look up.
    if plan.target.address().is_none() || addresses.is_empty() {
        report.name = Some(step);
    }
    addresses
}

async fn ask(plan: &Plan, tracker: SocketAddr) -> Result<Place, ProbeError> {
    let party = Party::new(tracker, plan.info_hash)?;
    let dialer = Dialer { target: &plan.target, tracker, trust: &plan.trust, patience: plan.patience };
    let (steps, is_out_of_reach) = match plan.target.scheme {
        Scheme::Udp => udp::ask(&party, &plan.target, plan.patience).await,
        Scheme::Http | Scheme::Https => http::ask(&party, &dialer).await,
        Scheme::Ws | Scheme::Wss => ws::ask(&party, &dialer).await,
    };
    Ok(Place { address: tracker, steps, is_out_of_reach })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_hashes_of_both_versions_are_taken() {
        assert_eq!(info_hash(&"0A".repeat(20)).unwrap(), [10; 20]);
        assert_eq!(info_hash(&format!("{}{}", "0a".repeat(20), "ff".repeat(12))).unwrap(), [10; 20]);
        for wrong in ["", "0a", &"0g".repeat(20), &"0a".repeat(21), &"zz".repeat(32)] {
            assert!(info_hash(wrong).is_err(), "{wrong}");
        }
    }
}
