//! What is kept of connection IDs, over restarts, boots and clocks that are set.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

const SECOND: u64 = 1_000_000_000;
const WALL: u64 = 1_700_000_000 * SECOND;
const BOOT: &str = "6d5f2c0a-6b2e-4f0e-9d3c-0123456789ab";
const NEXT_BOOT: &str = "ffffffff-6b2e-4f0e-9d3c-0123456789ab";

fn open(
    directory: &Path,
    monotonic_ns: u64,
    wall_ns: u64,
    boot: &str,
) -> (ConnectionIdState, Option<StateWarning>) {
    ConnectionIdState::open(directory, monotonic_ns, wall_ns, boot).unwrap()
}

fn clean((state, warning): (ConnectionIdState, Option<StateWarning>)) -> ConnectionIdState {
    assert!(warning.is_none(), "{warning:?}");
    state
}

#[test]
fn a_restart_in_the_same_boot_keeps_key_and_base_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let first = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
    assert_eq!(first.clock_base_ns, WALL - 50 * SECOND);
    // The wall clock is set meanwhile; the base must not follow.
    assert_eq!(clean(open(directory.path(), 60 * SECOND, WALL + 9999 * SECOND, BOOT)), first);
    assert_eq!(clean(open(directory.path(), 70 * SECOND, 0, BOOT)), first);
}

#[test]
fn after_another_boot_the_time_goes_on_by_the_wall_clock() {
    let directory = tempfile::tempdir().unwrap();
    let first = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
    let second = clean(open(directory.path(), 3 * SECOND, WALL + 100 * SECOND, NEXT_BOOT));
    assert_eq!(second.master, first.master);
    assert_eq!(second.clock_base_ns + 3 * SECOND, WALL + 100 * SECOND);
    assert_eq!(clean(open(directory.path(), 9 * SECOND, WALL, NEXT_BOOT)), second);
}

#[test]
fn what_is_kept_is_told_in_the_same_boot_alone() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(ConnectionIdState::kept(directory.path(), BOOT), None);
    let state = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
    assert_eq!(ConnectionIdState::kept(directory.path(), BOOT), Some(state));
    assert_eq!(ConnectionIdState::kept(directory.path(), NEXT_BOOT), None);
    let other = ConnectionIdState { master: Key { k0: 7, k1: 8 }, ..state };
    assert!(state.is_kept(directory.path(), BOOT) && !other.is_kept(directory.path(), BOOT));
}

#[test]
fn another_nodes_key_and_time_are_taken_over_and_kept() {
    const OTHER: Key = Key { k0: 7, k1: 8 };
    // Ahead of the own time, and behind it.
    for theirs in [WALL + 86_400 * SECOND, WALL - 86_400 * SECOND] {
        let directory = tempfile::tempdir().unwrap();
        let mut state = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
        state.adopt(OTHER, theirs, 60 * SECOND).unwrap();
        assert_eq!((state.master, state.clock_base_ns + 60 * SECOND), (OTHER, theirs));
        state.save(directory.path(), 61 * SECOND, BOOT).unwrap();
        assert_eq!(clean(open(directory.path(), 70 * SECOND, WALL + 20 * SECOND, BOOT)), state);
        // After another boot time goes on from theirs, as long as the wall clock is behind.
        let next = clean(open(directory.path(), 3 * SECOND, 0, NEXT_BOOT));
        assert_eq!((next.master, next.clock_base_ns + 3 * SECOND), (OTHER, theirs + SECOND));
    }
}

#[test]
fn a_time_that_no_clock_shows_is_not_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let before = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
    let mut state = before;
    for theirs in [0, 50 * SECOND - 1, 1 << 63, u64::MAX] {
        let refused = state.adopt(Key { k0: 7, k1: 8 }, theirs, 50 * SECOND);
        assert_eq!((refused, state), (Err(ImplausibleTime(theirs)), before));
    }
    for theirs in [50 * SECOND, (1 << 63) - 1] {
        assert_eq!(state.adopt(Key { k0: 7, k1: 8 }, theirs, 50 * SECOND), Ok(()), "{theirs}");
    }
}

#[test]
fn a_wall_clock_set_back_does_not_take_the_time_back() {
    let directory = tempfile::tempdir().unwrap();
    let first = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
    first.save(directory.path(), 500 * SECOND, BOOT).unwrap();
    let last = first.clock_base_ns + 500 * SECOND;
    let second = clean(open(directory.path(), 3 * SECOND, 1000 * SECOND, NEXT_BOOT));
    assert_eq!(second.clock_base_ns + 3 * SECOND, last);
}

#[test]
fn an_unknown_boot_is_never_the_same_one() {
    let directory = tempfile::tempdir().unwrap();
    clean(open(directory.path(), 50 * SECOND, WALL, ""));
    let second = clean(open(directory.path(), 3 * SECOND, WALL + 100 * SECOND, ""));
    assert_eq!(second.clock_base_ns + 3 * SECOND, WALL + 100 * SECOND);
}

#[test]
fn the_file_is_for_its_owner_alone_and_nothing_else_stays() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("made/on/demand");
    clean(open(&directory, 0, WALL, BOOT));
    let names: Vec<_> = fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [KEY_FILE]);
    assert_eq!(directory.join(KEY_FILE).metadata().unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn two_directories_have_two_keys() {
    let [a, b] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    assert_ne!(clean(open(a.path(), 0, WALL, BOOT)).master, clean(open(b.path(), 0, WALL, BOOT)).master);
}

#[test]
fn a_file_written_by_hand_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(KEY_FILE);
    let text = format!(
        "version = 1\nkey = \"000102030405060708090a0b0c0d0e0f\"\nclock_base_ns = 17\nboot_id = \"{BOOT}\"\nwritten_ns = 18\n"
    );
    write_new(&path, text.as_bytes()).unwrap();
    let state = clean(open(directory.path(), 0, WALL, BOOT));
    assert_eq!(state.master, Key { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 });
    assert_eq!(state.clock_base_ns, 17);
}

#[test]
fn a_corrupt_file_is_replaced_and_named() {
    let good =
        Saved { master: Key { k0: 1, k1: 2 }, clock_base_ns: 3, boot_id: BOOT.to_owned(), written_ns: 4 }
            .to_text();
    assert!(Saved::parse(&good).is_ok());
    for bad in [
        String::new(),
        "\u{0}\u{1}".to_owned(),
        good.replace("version = 1", "version = 2"),
        good.replace("key = \"01", "key = \"0g"),
        good.replace("key = \"01", "key = \"+1"),
        good.replace("clock_base_ns = 3", "clock_base_ns = -3"),
        good.replace("clock_base_ns = 3", "clock_base_ns = 9223372036854775808"),
        good.replace("boot_id", "boat_id"),
        good[..good.len() / 2].to_owned(),
        good.clone() + &"#".repeat(5000),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write_new(&directory.path().join(KEY_FILE), bad.as_bytes()).unwrap();
        let (state, warning) = open(directory.path(), 0, WALL, BOOT);
        assert!(matches!(&warning, Some(StateWarning::Replaced { .. })), "{bad:?}: {warning:?}");
        assert_eq!(clean(open(directory.path(), 0, WALL, BOOT)), state);
    }
}

#[test]
fn a_key_that_others_could_read_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let first = clean(open(directory.path(), 0, WALL, BOOT));
    let path = directory.path().join(KEY_FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let (second, warning) = open(directory.path(), 0, WALL, BOOT);
    assert_ne!(first.master, second.master);
    assert!(warning.unwrap().to_string().contains("0644"));
}

#[test]
fn links_are_not_followed() {
    let [elsewhere, directory] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let other = clean(open(elsewhere.path(), 0, WALL, BOOT));
    let target = elsewhere.path().join(KEY_FILE);
    let before = fs::read(&target).unwrap();
    symlink(&target, directory.path().join(KEY_FILE)).unwrap();
    let (state, warning) = open(directory.path(), 0, WALL, BOOT);
    assert!(matches!(warning, Some(StateWarning::Replaced { .. })));
    assert_ne!(state.master, other.master);
    assert_eq!(fs::read(&target).unwrap(), before);
    assert!(directory.path().join(KEY_FILE).symlink_metadata().unwrap().is_file());
}

#[test]
fn where_nothing_can_be_written_the_state_is_in_memory() {
    let parent = tempfile::NamedTempFile::new().unwrap();
    // A file where the directory should be: not even root can write there.
    let (_, warning) = open(parent.path(), 0, WALL, BOOT);
    let text = warning.unwrap().to_string();
    assert!(text.contains("connection IDs and swarms will not outlive this process"), "{text}");
}

#[test]
fn a_directory_in_the_files_place_is_unusable() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join(KEY_FILE).join("full")).unwrap();
    let (_, warning) = open(directory.path(), 0, WALL, BOOT);
    assert!(matches!(warning, Some(StateWarning::Unusable { .. })), "{warning:?}");
}
