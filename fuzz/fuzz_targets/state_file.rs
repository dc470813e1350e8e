//! Any bytes as the file of swarms: read without a panic and in bounded memory, as they are and with checksums that are right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracker_core::{
    engine::{CountedBy, Engine},
    nodes::SharedNodes,
    policy::Policy,
    records::with_name,
};
use tracker_user::swarms::{
    format::{BlockHead, Kind, Totals, header},
    moment::Moment,
    read::FileReader,
    take_in::TakeIn,
};

const NOW: u32 = 1_700_000_000;
const LATER: Moment = Moment { wall: 1_000, uptime: 100, boot: [1; 16] };

fn read(file: &[u8]) -> (u64, bool) {
    let policy = Policy { max_peers: 100, max_torrents: 10, downloaded_entries: 10, ..Policy::default() };
    let engine = Engine::new(policy, [1, 2]);
    let nodes = SharedNodes::default();
    let mut take_in = TakeIn::new(&engine, NOW);
    let mut blocks = 0;
    let Ok(mut reader) = FileReader::open(file) else { return (0, false) };
    let whole = loop {
        match reader.next_block() {
            Ok(Some(block)) => {
                blocks += 1;
                let since = LATER.since(&block.at);
                let taken = match block.node {
                    None => take_in.records(block.records, since, CountedBy::Own),
                    Some(name) => take_in.shares(&nodes, name, block.records, since),
                };
                if taken.is_err() {
                    break false;
                }
            }
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(reader.position() <= file.len() as u64);
    let totals = engine.totals();
    assert!(totals.peers.iter().flatten().sum::<usize>() <= 100 && totals.torrents <= 10);
    assert!(totals.retained <= 10);
    (blocks, whole)
}

fuzz_target!(|data: &[u8]| {
    read(data);

    // The same bytes as the content of blocks: a byte for the length of each and one for its time.
    let saved = Moment { wall: 900, uptime: 50, boot: [data.first().copied().unwrap_or_default() & 1; 16] };
    let (head, mut checksum) = header(&saved);
    let mut file = head.to_vec();
    let (mut rest, mut blocks) = (data, 0);
    let mut add = |file: &mut Vec<u8>, kind, content: &[u8], elapsed| {
        let length = content.len() as u32;
        let (head, next) = BlockHead { kind, length, elapsed }.to_bytes(content, checksum);
        checksum = next;
        file.extend_from_slice(&head);
        file.extend_from_slice(content);
    };
    while let [length, elapsed, tail @ ..] = rest {
        let (content, behind) = tail.split_at(tail.len().min(usize::from(*length) * 4));
        match elapsed % 4 {
            0 => {
                let node = char::from(b'a' + elapsed % 16).to_string();
                let content = with_name(&node, content).expect("a name");
                add(&mut file, Kind::Node, &content, u32::from(*elapsed));
            }
            // The name is what is there.
            1 => add(&mut file, Kind::Node, content, u32::from(*elapsed)),
            _ => add(&mut file, Kind::Records, content, u32::from(*elapsed)),
        }
        (rest, blocks) = (behind, blocks + 1);
    }
    add(&mut file, Kind::End, &Totals { blocks, torrents: 0, peers: 0 }.to_bytes(), 0);
    let (had, whole) = read(&file);
    assert!(had == blocks || !whole);
    // Whatever is cut off, what is left is torn.
    let cut = data.len() % file.len();
    assert!(!read(&file[..cut]).1);
});
