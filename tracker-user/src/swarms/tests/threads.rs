//! The thread that saves.

use super::*;
use crate::{
    clock::Clock,
    swarms::{Saver, Settings, Tally, save::SaveError},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

const NEVER: Option<Duration> = Some(Duration::from_secs(100_000));

fn saver(directory: &Path, every: Option<Duration>, engine: &Arc<Engine>) -> Saver {
    let settings = Settings { directory: directory.to_owned(), every, is_told: false };
    let ended = mpsc::unbounded_channel().0;
    Saver::start(
        settings,
        (engine.clone(), SharedNodes::default()),
        Clock::new(0),
        Arc::new(Tally::default()),
        &ended,
    )
    .unwrap()
}

fn add_torrent(engine: &Engine, n: u8) {
    let torrent = TorrentRecord { info_hash: InfoHash([n; 20]), downloaded: 1, age: 0 };
    let address = ipv4(0xc000_0201);
    let state = State::Here { role: Role::Seeder, counted: false };
    let now = Clock::new(0).now();
    engine.import(&torrent, &[PeerRecord { address, port: 1, state, age: 0 }], now, CountedBy::Own).unwrap();
}

fn peers_on_disk(directory: &Path) -> u64 {
    let engine = engine(Policy::default());
    take_up(&engine, &SharedNodes::default(), &directory.join(SWARMS_FILE), NOW, &Moment::now())
        .unwrap()
        .taken
        .peers
}

#[test]
fn it_saves_when_asked_and_at_the_end() {
    let (directory, engine) = (tempfile::tempdir().unwrap(), Arc::new(engine(Policy::default())));
    let saver = saver(directory.path(), NEVER, &engine);
    add_torrent(&engine, 1);
    let saved = saver.save_now().blocking_recv().unwrap().unwrap();
    assert_eq!((saved.peers, peers_on_disk(directory.path())), (1, 1));
    add_torrent(&engine, 2);
    saver.finish();
    assert_eq!(peers_on_disk(directory.path()), 2);
    let tally = saver.tally();
    assert_eq!((tally.saved.get(), tally.failed.get()), (2, 0));
    assert_eq!(tally.size.get(), directory.path().join(SWARMS_FILE).metadata().unwrap().len());
    assert!(tally.last_save.get() > 1_700_000_000);
    let error = saver.save_now().blocking_recv().unwrap().unwrap_err();
    assert!(matches!(*error, SaveError::Stopping));
}

#[test]
fn it_saves_by_itself() {
    let (directory, engine) = (tempfile::tempdir().unwrap(), Arc::new(engine(Policy::default())));
    let saver = saver(directory.path(), Some(Duration::from_millis(1)), &engine);
    while saver.tally().saved.get() < 3 {
        std::thread::yield_now();
    }
    saver.finish();
}

#[test]
fn where_nothing_is_to_be_saved_nothing_is() {
    let (directory, engine) = (tempfile::tempdir().unwrap(), Arc::new(engine(Policy::default())));
    let saver = saver(directory.path(), None, &engine);
    let error = saver.save_now().blocking_recv().unwrap().unwrap_err();
    assert!(matches!(*error, SaveError::Off));
    saver.finish();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_fails_is_told_and_works_again() {
    let (parent, engine) = (tempfile::tempdir().unwrap(), Arc::new(engine(Policy::default())));
    let directory = parent.path().join("state");
    fs::write(&directory, "in the way").unwrap();
    let saver = saver(&directory, NEVER, &engine);
    let error = saver.save_now().blocking_recv().unwrap().unwrap_err();
    assert!(error.to_string().contains(&directory.display().to_string()), "{error}");
    fs::remove_file(&directory).unwrap();
    saver.save_now().blocking_recv().unwrap().unwrap();
    assert_eq!((saver.tally().saved.get(), saver.tally().failed.get()), (1, 1));
    saver.finish();
}

/// A save that is given up leaves what was there before, and nothing else.
#[test]
fn giving_up_leaves_what_was_there() {
    let (directory, engine) = (tempfile::tempdir().unwrap(), engine(Policy::default()));
    add_torrent(&engine, 1);
    let clock = || Clock::new(0).now();
    save(&engine, &SharedNodes::default(), clock, directory.path(), |_| true).unwrap();
    add_torrent(&engine, 2);
    let outcome = save(&engine, &SharedNodes::default(), clock, directory.path(), |_| false);
    assert!(matches!(outcome, Err(SaveError::GivenUp)));
    assert_eq!(peers_on_disk(directory.path()), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
