//! Each thing that may be wrong with a file: what was before it is used, and it never stops a start.

use super::*;
use crate::{
    kept_file::Unfit,
    swarms::{
        read::{Fault, FileReader},
        restore::{MAX_FILE, Wrong, restore},
        tally::Tally,
    },
};
use std::{
    fs::{File, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::PathBuf,
};

/// The blocks that are had, and what is wrong.
fn blocks(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<Fault>) {
    let mut had = Vec::new();
    let mut reader = match FileReader::open(bytes) {
        Ok(reader) => reader,
        Err(fault) => return (had, Some(fault)),
    };
    loop {
        match reader.next_block() {
            Ok(Some(block)) => had.push(block.records.to_vec()),
            Ok(None) => return (had, None),
            Err(fault) => return (had, Some(fault)),
        }
    }
}

/// How many blocks end at or before this byte.
fn whole_blocks(at: usize) -> usize {
    BY_HAND.1[1..3].iter().filter(|end| **end <= at).count()
}

#[test]
fn a_torn_file_is_used_up_to_its_last_whole_block() {
    let (file, starts) = &*BY_HAND;
    let all = blocks(file);
    assert!(all.0.len() == 2 && all.1.is_none());
    for length in 0..file.len() {
        let (had, fault) = blocks(&file[..length]);
        assert_eq!(had, all.0[..whole_blocks(length)], "{length} bytes");
        assert!(matches!(fault, Some(Fault::Torn { at }) if at == length as u64), "{length}: {fault:?}");
    }
    // And through the engine, at each boundary.
    for (end, peers) in starts.iter().zip([0, 2, 3]) {
        let engine = engine(Policy::default());
        let taken_up = take_up_bytes(&engine, &file[..*end], &LATER);
        assert_eq!(taken_up.taken.peers, peers);
        assert!(matches!(taken_up.wrong, Some(Wrong::Fault(Fault::Torn { .. }))));
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let (file, starts) = &*BY_HAND;
    let all = blocks(file).0;
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (had, fault) = blocks(&damaged);
        // The blocks before the one that is damaged, and no other.
        let whole = starts[1..3].iter().filter(|end| **end <= bit / 8).count();
        assert_eq!(had, all[..whole], "bit {bit}");
        let fault = fault.unwrap_or_else(|| panic!("bit {bit} is not missed"));
        match (bit / 8, fault) {
            (0..8, Fault::Foreign) | (8..48, Fault::Header) => {}
            // A length may reach beyond the end.
            (48.., Fault::Block { .. } | Fault::Torn { .. } | Fault::End { .. }) => {}
            (_, fault) => panic!("bit {bit}: {fault:?}"),
        }
    }
}

#[test]
fn blocks_that_are_lost_moved_or_repeated_are_found() {
    let (file, starts) = &*BY_HAND;
    let part = |n: usize| &file[starts[n]..starts[n + 1]];
    let header = &file[..starts[0]];
    for (parts, whole) in [
        (vec![header, part(1), part(2)], 0),
        (vec![header, part(1), part(0), part(2)], 0),
        (vec![header, part(0), part(0), part(1), part(2)], 1),
        (vec![header, part(0), part(2)], 1),
        (vec![header, part(0), part(1), part(2), part(2)], 2),
        (vec![header, part(0), part(1), part(2), &[0]], 2),
    ] {
        let (had, fault) = blocks(&parts.concat());
        assert_eq!(had.len(), whole);
        assert!(matches!(fault, Some(Fault::Block { .. } | Fault::End { .. })), "{fault:?}");
    }
}

/// Another version, told from a damaged header by the checksum, which is at the same place in all.
#[test]
fn another_version_is_named() {
    let mut file = BY_HAND.0.clone();
    file[8] = 3;
    let sum = crc(&file[..44]);
    file[44..48].copy_from_slice(&sum);
    assert!(matches!(blocks(&file), (had, Some(Fault::Version(3))) if had.is_empty()));
}

#[test]
fn what_is_no_file_of_swarms_is_left_alone() {
    for bytes in
        [&b"no such thing"[..], &[0; 100], b"# A file of somebody else's, which happens to have this name\n"]
    {
        assert!(matches!(blocks(bytes), (had, Some(Fault::Foreign)) if had.is_empty()));
    }
}

/// Nothing of a length that cannot be is ever asked for.
#[test]
fn a_length_that_cannot_be_is_refused_before_memory_is_taken() {
    let mut file = BY_HAND.0[..48].to_vec();
    file.extend(*b"RECS\xff\xff\xff\xff\0\0\0\0\0\0\0\0");
    assert!(matches!(blocks(&file).1, Some(Fault::Block { at: 48 })));
}

/// A checksum that is right over records that are none: a fault of whoever wrote it.
#[test]
fn records_before_the_one_that_is_none_are_used() {
    let (mut file, mut summed) = (Vec::new(), Vec::new());
    add(&mut file, &mut summed, &BY_HAND.0[..44], &[]);
    let mut records = BY_HAND.0[BY_HAND.1[0] + 16..BY_HAND.1[1]].to_vec();
    records.extend([1, 2, 3]);
    add(
        &mut file,
        &mut summed,
        &[b'R', b'E', b'C', b'S', records.len() as u8, 0, 0, 0, 0, 0, 0, 0],
        &records,
    );
    let engine = engine(Policy::default());
    let taken_up = take_up_bytes(&engine, &file, &LATER);
    assert_eq!(taken_up.taken.peers, 2);
    assert!(matches!(taken_up.wrong, Some(Wrong::Record(_))), "{taken_up:?}");
}

#[test]
fn an_end_that_counts_otherwise_is_a_fault() {
    let (mut file, mut summed) = (Vec::new(), Vec::new());
    add(&mut file, &mut summed, &BY_HAND.0[..44], &[]);
    let mut end = [0; 24];
    end[16] = 1;
    add(&mut file, &mut summed, &[b'E', b'N', b'D', 0, 24, 0, 0, 0, 0, 0, 0, 0], &end);
    let taken_up = take_up_bytes(&engine(Policy::default()), &file, &LATER);
    assert!(matches!(taken_up.wrong, Some(Wrong::Peers { read: 0, told: 1 })), "{taken_up:?}");
}

/// Restores what is in a directory; the names there afterwards.
fn restored(directory: &Path) -> (usize, Vec<String>) {
    let engine = engine(Policy::default());
    restore(&engine, &SharedNodes::default(), directory, NOW, &LATER, &Tally::default());
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    (engine.totals().torrents, names)
}

fn unfit(path: &Path) -> Unfit {
    match take_up(&engine(Policy::default()), &SharedNodes::default(), path, NOW, &LATER).unwrap().wrong {
        Some(Wrong::Unfit(unfit)) => unfit,
        other => panic!("{other:?}"),
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SWARMS_FILE);
    (directory, path)
}

#[test]
fn a_good_file_stays_and_a_bad_one_is_set_aside() {
    let (directory, path) = place();
    fs::write(&path, &BY_HAND.0).unwrap();
    assert_eq!(restored(directory.path()), (1, vec![SWARMS_FILE.to_owned()]));
    fs::write(&path, &BY_HAND.0[..BY_HAND.1[2]]).unwrap();
    let aside = "swarms.riptide.bad-19700101T000005Z".to_owned();
    assert_eq!(restored(directory.path()), (1, vec![aside]));
    assert_eq!(restored(directory.path()).0, 0, "nothing is there any more");
}

#[test]
fn a_link_is_not_followed() {
    let (directory, path) = place();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    fs::write(elsewhere.path(), &BY_HAND.0).unwrap();
    symlink(elsewhere.path(), &path).unwrap();
    assert!(matches!(unfit(&path), Unfit::Link));
    assert_eq!(restored(directory.path()).0, 0);
    assert!(path.symlink_metadata().is_err(), "it is set aside");
    assert_eq!(fs::read(elsewhere.path()).unwrap(), BY_HAND.0);
}

#[test]
fn what_is_no_regular_file_is_set_aside() {
    let (directory, path) = place();
    fs::create_dir(&path).unwrap();
    assert!(matches!(unfit(&path), Unfit::Irregular));
    assert_eq!(restored(directory.path()).0, 0);
    // Nobody ever writes to this one.
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(matches!(unfit(&path), Unfit::Irregular));
    assert_eq!(restored(directory.path()).1.len(), 2);
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let (_directory, path) = place();
    fs::write(&path, &BY_HAND.0).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
    assert!(matches!(unfit(&path), Unfit::TooLong { length, .. } if length == MAX_FILE + 1));
}

#[test]
fn a_file_that_others_may_write_is_not_read() {
    let (_directory, path) = place();
    fs::write(&path, &BY_HAND.0).unwrap();
    for (mode, good) in [(0o600, true), (0o644, true), (0o620, false), (0o602, false)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let wrong =
            take_up(&engine(Policy::default()), &SharedNodes::default(), &path, NOW, &LATER).unwrap().wrong;
        assert_eq!(wrong.is_none(), good, "{mode:o}");
    }
}

/// Whose it is matters, unless the directory is theirs as well.
#[test]
fn root_a_file_of_somebody_elses_is_not_read() {
    let (directory, path) = place();
    fs::write(&path, &BY_HAND.0).unwrap();
    chown(&path, Some(4711), None).unwrap();
    assert!(matches!(unfit(&path), Unfit::Foreign(4711)));
    chown(directory.path(), Some(4711), None).unwrap();
    assert!(
        take_up(&engine(Policy::default()), &SharedNodes::default(), &path, NOW, &LATER)
            .unwrap()
            .wrong
            .is_none()
    );
}

#[test]
fn where_there_is_no_file_or_directory_nothing_happens() {
    let (directory, path) = place();
    assert_eq!(restored(directory.path()), (0, Vec::new()));
    fs::write(&path, "").unwrap();
    assert!(
        take_up(&engine(Policy::default()), &SharedNodes::default(), &path.join("below"), NOW, &LATER)
            .is_none()
    );
    assert!(
        take_up(
            &engine(Policy::default()),
            &SharedNodes::default(),
            &directory.path().join("a/b"),
            NOW,
            &LATER
        )
        .is_none()
    );
}
