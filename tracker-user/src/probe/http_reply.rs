//! Requests over HTTP, and what replies to them say (BEP 3, 7, 23, 24, 31, 48): bytes in, findings out.

use super::{
    bencode::{self, Value},
    finding::Findings,
    party::{Client, Event, Party, WANTED},
    shown::{self, beginning, escaped},
    told::{Row, Told, compact},
};
use std::net::{IpAddr, SocketAddr};

/// The parameters of an announce.
pub(super) fn parameters(party: &Party, client: &Client, event: Event) -> String {
    let wanted = if event == Event::Stopped { 0 } else { WANTED };
    format!(
        "info_hash={}&peer_id={}&port={}&uploaded=0&downloaded=0&left={}&key={:08X}&event={}&numwant={wanted}&compact=1&\
         no_peer_id=1",
        escaped(&party.info_hash),
        escaped(&client.peer_id),
        client.port,
        client.which.left(),
        client.key,
        event.word()
    )
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The answer to an announce, and where it came from in the tracker's eyes (BEP 24).
    Announced(Told, Option<IpAddr>),
    /// The row of a torrent; none, where the tracker does not know it.
    Scraped(Option<Row>),
    /// The tracker refuses, and says why.
    Refused(String),
}

/// The head of a reply, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) status: u16,
    /// `Content-Encoding`.
    pub(super) encoding: Option<&'a str>,
}

/// Reads the answer to an announce.
///
/// # Errors
/// What is wrong with it, where clients cannot read it.
pub(super) fn read_announce(head: Head<'_>, body: &[u8], findings: &mut Findings) -> Result<Reply, String> {
    let dictionary = dictionary(head, body, findings)?;
    if let Some(reason) = failure(&dictionary, findings) {
        return Ok(Reply::Refused(reason));
    }
    let mut integer = |key: &str| match dictionary.get(key) {
        Some(Value::Integer(number)) => Some(*number),
        Some(_) => {
            findings.wrong(format!("`{key}` is no number"));
            None
        }
        None => None,
    };
    let mut told = Told {
        interval: integer("interval"),
        min_interval: integer("min interval"),
        seeders: integer("complete"),
        leechers: integer("incomplete"),
        peers: Vec::new(),
    };
    match (dictionary.get("peers"), dictionary.get("peers6")) {
        (None, None) => findings.wrong("there is no list of peers (`peers`, BEP 3)"),
        (peers, peers6) => {
            told.peers.extend(peers.map(|list| peers_of(list, findings)).unwrap_or_default());
            told.peers.extend(peers6.map(|list| peers6_of(list, findings)).unwrap_or_default());
        }
    }
    if let Some(warning) = dictionary.get("warning message").and_then(Value::bytes) {
        findings.note(format!("the tracker warns: \"{}\"", shown::text(warning)));
    }
    Ok(Reply::Announced(told, external(&dictionary, findings)))
}

/// Reads the answer to a scrape of one torrent (BEP 48).
///
/// # Errors
/// What is wrong with it, where clients cannot read it.
pub(super) fn read_scrape(
    head: Head<'_>,
    body: &[u8],
    info_hash: [u8; 20],
    findings: &mut Findings,
) -> Result<Reply, String> {
    let dictionary = dictionary(head, body, findings)?;
    if let Some(reason) = failure(&dictionary, findings) {
        return Ok(Reply::Refused(reason));
    }
    let Some(Value::Dictionary(rows)) = dictionary.get("files") else {
        return Err("there is no dictionary `files` in the answer to a scrape (BEP 48)".to_owned());
    };
    if rows.len() > 1 {
        findings.note(format!("one torrent was asked for, and {} are told of", rows.len()));
    }
    let Some((_, row)) = rows.iter().find(|(hash, _)| *hash == info_hash) else {
        return Ok(Reply::Scraped(None));
    };
    let number = |key: &str| row.get(key).and_then(Value::integer);
    let (Some(seeders), Some(leechers)) = (number("complete"), number("incomplete")) else {
        return Err("the torrent's row has no `complete` or no `incomplete` (BEP 48)".to_owned());
    };
    let downloads = number("downloaded");
    if downloads.is_none() {
        findings.note("the torrent's row has no `downloaded` (BEP 48)");
    }
    Ok(Reply::Scraped(Some(Row { seeders, leechers, downloads })))
}

/// The dictionary that an answer has to be.
fn dictionary<'a>(head: Head<'_>, body: &'a [u8], findings: &mut Findings) -> Result<Value<'a>, String> {
    if let Some(encoding) = head.encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(format!(
            "the answer is compressed ({}), which was not asked for: clients cannot be expected to read it",
            shown::text(encoding.as_bytes())
        ));
    }
    let read = bencode::read(body);
    let is_dictionary = matches!(&read, Ok(read) if matches!(read.value, Value::Dictionary(_)));
    if head.status != 200 {
        let status = format!("the answer has status {} where clients expect 200", head.status);
        if !is_dictionary {
            return Err(format!("{status}: {}", what_else(body)));
        }
        findings.wrong(status);
    }
    let read = read.map_err(|broken| format!("{} ({broken})", what_else(body)))?;
    if !is_dictionary {
        return Err(format!("the answer is bencoded, but no dictionary: {}", beginning(body)));
    }
    for slip in read.slips {
        findings.wrong(format!("{slip}: strict clients refuse that (BEP 3)"));
    }
    if read.rest.trim_ascii().is_empty() {
        if !read.rest.is_empty() {
            findings.note("there is white space behind the dictionary");
        }
    } else {
        findings.wrong(format!("{} bytes follow the dictionary: {}", read.rest.len(), beginning(read.rest)));
    }
    Ok(read.value)
}

/// What a body is that is not bencoded.
fn what_else(body: &[u8]) -> String {
    let begins = body.trim_ascii_start();
    if body.is_empty() {
        "the answer is empty".to_owned()
    } else if begins.starts_with(b"<") {
        format!("the answer is a page and not bencoded: is this the announce address? {}", beginning(begins))
    } else if begins.starts_with(&[0x1f, 0x8b]) {
        "the answer is compressed (gzip), which was neither asked for nor said".to_owned()
    } else {
        format!("the answer is not bencoded: {}", beginning(body))
    }
}

/// Why the tracker refuses, if it does.
fn failure(dictionary: &Value<'_>, findings: &mut Findings) -> Option<String> {
    let value = dictionary.get("failure reason")?;
    let reason = match value.bytes() {
        Some(b"") | None => {
            findings.wrong("`failure reason` says nothing, where it has to be a text for people (BEP 3)");
            String::new()
        }
        Some(reason) => shown::text(reason),
    };
    match dictionary.get("retry in") {
        None | Some(Value::Bytes(b"never") | Value::Integer(1..)) => {}
        Some(_) => {
            findings.wrong("`retry in` is neither a number of minutes above 0 nor the word never (BEP 31)");
        }
    }
    Some(reason)
}

/// The list `peers`: six bytes for each (BEP 23), or dictionaries (BEP 3).
fn peers_of(list: &Value<'_>, findings: &mut Findings) -> Vec<SocketAddr> {
    match list {
        Value::Bytes(bytes) => {
            if !bytes.len().is_multiple_of(6) {
                findings.wrong(format!("`peers` has {} bytes, no multiple of 6 (BEP 23)", bytes.len()));
            }
            compact(bytes, true)
        }
        Value::List(peers) => {
            findings.note("`peers` is a list of dictionaries, though a compact one was asked for (BEP 23)");
            let mut read = Vec::new();
            for peer in peers {
                let ip = peer.get("ip").and_then(Value::bytes);
                let port =
                    peer.get("port").and_then(Value::integer).and_then(|port| u16::try_from(port).ok());
                let (Some(ip), Some(port)) = (ip, port) else {
                    findings.wrong("a peer in the list has no `ip`, or no `port` that is one (BEP 3)");
                    break;
                };
                // A name is allowed too, and none of the clients' here.
                let ip = std::str::from_utf8(ip).ok().and_then(|ip| ip.parse::<IpAddr>().ok());
                read.extend(ip.map(|ip| SocketAddr::new(ip, port)));
            }
            read
        }
        _ => {
            findings.wrong("`peers` is neither a string nor a list (BEP 3, BEP 23)");
            Vec::new()
        }
    }
}

/// The list `peers6`: eighteen bytes for each (BEP 7).
fn peers6_of(list: &Value<'_>, findings: &mut Findings) -> Vec<SocketAddr> {
    let Some(bytes) = list.bytes() else {
        findings.wrong("`peers6` is no string (BEP 7)");
        return Vec::new();
    };
    if !bytes.len().is_multiple_of(18) {
        findings.wrong(format!("`peers6` has {} bytes, no multiple of 18 (BEP 7)", bytes.len()));
    }
    compact(bytes, false)
}

/// Where the announce came from in the tracker's eyes.
fn external(dictionary: &Value<'_>, findings: &mut Findings) -> Option<IpAddr> {
    let value = dictionary.get("external ip")?;
    let bytes = value.bytes().unwrap_or_default();
    let ip = match bytes.len() {
        4 => bytes.first_chunk().map(|ip: &[u8; 4]| IpAddr::from(*ip)),
        16 => bytes.first_chunk().map(|ip: &[u8; 16]| IpAddr::from(*ip)),
        _ => None,
    };
    if ip.is_none() {
        findings.wrong("`external ip` has neither 4 nor 16 bytes (BEP 24)");
    }
    ip
}

#[cfg(test)]
mod tests;
