//! Asking a tracker over HTTP (BEP 3).

use super::{
    dial::{Dialer, Stream},
    fetch::{self, Answer},
    finding::{Findings, Step},
    http_reply::{self, Head, Reply},
    names,
    party::{Event, Party, Which},
    shown,
    target::{Scheme, Target},
    told,
    trouble::Trouble,
};
use tokio::time::timeout;

/// Redirects in a row that are followed.
const MOST_REDIRECTS: usize = 5;

/// Asks as both clients, and says what came of each step, and whether this machine could send there at all.
pub(super) async fn ask(party: &Party, dialer: &Dialer<'_>) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    let mut first = match dialer.open(&mut steps).await {
        Ok(stream) => Some(stream),
        Err(trouble) => {
            steps.push(Dialer::failed(steps.len(), &trouble));
            return (steps, matches!(trouble, Trouble::NoWay { .. }));
        }
    };
    let (mut there, mut is_understood) = (Vec::new(), true);
    for which in [Which::First, Which::Second] {
        let (step, may_be_there, answered) = announce(party, dialer, which, first.take()).await;
        steps.push(step);
        if may_be_there {
            there.push(which);
        }
        is_understood = answered || !may_be_there;
        if !answered {
            break;
        }
    }
    if there.len() == 2 {
        steps.push(scrape(party, dialer).await);
    }
    // Whoever may have been taken in leaves, whatever else went wrong. The first goes last.
    for which in there.iter().rev() {
        let step = stop(party, dialer, *which, there.len() == 2 && *which == Which::First).await;
        // Where an announce had no answer that can be read, the other has none either.
        if is_understood {
            steps.push(step);
        }
    }
    (steps, false)
}

/// Announces. Says whether the tracker may count the client now, and whether it is of use to go on.
async fn announce(
    party: &Party,
    dialer: &Dialer<'_>,
    which: Which,
    opened: Option<Box<dyn Stream>>,
) -> (Step, bool, bool) {
    let step = Step::new("announce", Some(which));
    let path = dialer.target.path_with(&http_reply::parameters(party, party.client(which), Event::Started));
    let mut findings = Findings::default();
    let answer = match get(dialer, opened, &path, &mut findings).await {
        // Where it led the first client is told once.
        Ok(answer) if which == Which::Second => {
            findings = Findings::default();
            answer
        }
        Ok(answer) => answer,
        Err(reason) => return (step.found(findings).wrong(reason), true, false),
    };
    let step = step.took(answer.took);
    match http_reply::read_announce(head(&answer), &answer.body, &mut findings) {
        Ok(Reply::Announced(told, seen)) => {
            findings.extend(told::judge(&told, party, which));
            if which == Which::Second {
                findings.extend(told::judge_meeting(&told, party));
            }
            let mut text = told::summary(&told, party, which);
            if let (Which::First, Some(seen)) = (which, seen) {
                text += &format!("; seen from {seen}");
            }
            (step.told(text).found(findings), true, true)
        }
        Ok(Reply::Refused(reason)) => {
            (step.found(findings).wrong(shown::refused(&reason, party.is_alone)), false, false)
        }
        Ok(Reply::Scraped(_)) => (step.found(findings), true, false),
        Err(reason) => (step.found(findings).wrong(reason), true, false),
    }
}

async fn scrape(party: &Party, dialer: &Dialer<'_>) -> Step {
    let step = Step::new("scrape", None);
    let Some(target) = dialer.target.scrape() else {
        return step.note(
            "not asked: the last part of the path does not begin with announce, so there is no address for scrapes (BEP 48)",
        );
    };
    let dialer = Dialer { target: &target, ..*dialer };
    let path = target.path_with(&format!("info_hash={}", shown::escaped(&party.info_hash)));
    let mut findings = Findings::default();
    let answer = match get(&dialer, None, &path, &mut Findings::default()).await {
        Ok(answer) => answer,
        Err(reason) => return step.wrong(reason),
    };
    let step = step.took(answer.took);
    // No tracker has to answer scrapes.
    if matches!(answer.status, 400..=499 | 501) {
        return step.note(format!("the tracker answers no scrapes: status {}", answer.status));
    }
    match http_reply::read_scrape(head(&answer), &answer.body, party.info_hash, &mut findings) {
        Ok(Reply::Scraped(Some(row))) => {
            findings.extend(row.judge(party));
            step.told(row.summary()).found(findings)
        }
        Ok(Reply::Scraped(None)) => {
            step.found(findings).note("it does not tell of the torrent, though two clients have announced it")
        }
        Ok(Reply::Refused(reason)) => {
            step.found(findings).note(format!("the tracker answers no scrapes: {}", shown::quoted(&reason)))
        }
        Ok(Reply::Announced(..)) => step.found(findings),
        Err(reason) => step.found(findings).wrong(reason),
    }
}

async fn stop(party: &Party, dialer: &Dialer<'_>, which: Which, is_last: bool) -> Step {
    let step = Step::new("stop", Some(which));
    let path = dialer.target.path_with(&http_reply::parameters(party, party.client(which), Event::Stopped));
    let answer = match get(dialer, None, &path, &mut Findings::default()).await {
        Ok(answer) => answer,
        Err(reason) => return step.wrong(reason),
    };
    let step = step.took(answer.took);
    // Nobody who leaves looks for peers or an interval in the answer: what is wrong with those is no matter.
    match http_reply::read_announce(head(&answer), &answer.body, &mut Findings::default()) {
        Ok(Reply::Refused(reason)) => step.wrong(shown::refused(&reason, party.is_alone)),
        Ok(Reply::Announced(told, _)) if is_last => step.found(told::judge_left(&told, party)),
        Ok(_) => step,
        Err(reason) => step.wrong(reason),
    }
}

fn head(answer: &Answer) -> Head<'_> {
    Head { status: answer.status, encoding: answer.encoding.as_deref() }
}

/// Asks for a path at the tracker, over the connection that is there if one is, and follows redirects as clients do.
///
/// # Errors
/// Why there is no answer.
async fn get(
    dialer: &Dialer<'_>,
    mut opened: Option<Box<dyn Stream>>,
    path: &str,
    findings: &mut Findings,
) -> Result<Answer, String> {
    let mut target = Target { path: path.to_owned(), ..dialer.target.clone() };
    let mut tracker = dialer.tracker;
    for _ in 0..=MOST_REDIRECTS {
        let here = Dialer { target: &target, tracker, ..*dialer };
        let stream = match opened.take() {
            Some(stream) => stream,
            None => here.open_quietly().await.map_err(|trouble| trouble.to_string())?,
        };
        let answer = fetch::get(stream, &target.authority(), &target.path, dialer.patience).await;
        let answer = answer.map_err(|trouble| trouble.to_string())?;
        let (301 | 302 | 303 | 307 | 308, Some(location)) = (answer.status, &answer.location) else {
            return Ok(answer);
        };
        let shown = shown::text(location.as_bytes());
        let next = target
            .follow(location)
            .map_err(|_| format!("a redirect leads to {shown}, which is no address"))?;
        if !matches!(next.scheme, Scheme::Http | Scheme::Https) {
            return Err(format!("a redirect leads to {shown}, where HTTP is not spoken"));
        }
        if (&next.host, next.port) != (&target.host, target.port) {
            let found = timeout(dialer.patience, names::look_up(&next)).await;
            let found = found.unwrap_or_default();
            // One of the same family, so that the report stays true.
            let same = found.into_iter().find(|address| address.is_ipv4() == tracker.is_ipv4());
            tracker =
                same.ok_or_else(|| format!("a redirect leads to {shown}, which has no such address"))?;
        }
        findings.note(format!("status {} redirects to {}", answer.status, next.origin()));
        target = next;
    }
    Err(format!("more than {MOST_REDIRECTS} redirects, one after the other"))
}
