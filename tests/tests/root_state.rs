//! The swarms on disks that fail, and across users: what takes root to be seen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{Uid, chown},
};
use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use tests::{
    metrics::Metrics,
    riptide::{Riptide, Start},
    udp::{Announce, Client, id20},
};

const FAILS: &str = "swarms are not saved until this works again";

fn start(directory: &Arc<TempDir>) -> Start<'static> {
    Start::new(None)
        .arguments("--udp 127.0.0.1:0")
        .directory(directory.clone())
        .environment("RIPTIDE_STATE__SAVE_INTERVAL", "1s")
}

fn directory() -> Arc<TempDir> {
    let directory = TempDir::with_prefix("riptide-test-").expect("a directory");
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("its owner");
    fs::create_dir(directory.path().join("state")).expect("a state directory");
    Arc::new(directory)
}

/// A small disk in the place of the state directory, which has room for a file of swarms.
struct Disk(PathBuf);

impl Disk {
    fn new(directory: &TempDir) -> Self {
        let path = directory.path().join("state");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=256k,mode=755"))
            .expect("a disk");
        Self(path)
    }

    fn remount(&self, flags: MsFlags) {
        mount(None::<&str>, &self.0, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>)
            .expect("to remount");
    }

    /// Fills it up.
    fn fill(&self) {
        let full = fs::write(self.0.join("filler"), vec![0; 1 << 20]).expect_err("less than a MiB");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn client(riptide: &Riptide) -> Client {
    Client::new(Ipv4Addr::LOCALHOST.into(), riptide.udp()[0])
}

fn saves(metrics: &Metrics, outcome: &str) -> f64 {
    metrics.sum("riptide_state_saves_total", &[("outcome", outcome)])
}

fn lines(riptide: &Riptide, words: &str) -> usize {
    riptide.lines().into_iter().filter(|line| line.contains(words)).count()
}

/// It fails once something was done, and works again once that was undone: one line each, and answers go on.
fn fails_and_works_again(riptide: &Riptide, fail: impl FnOnce(), mend: impl FnOnce()) {
    let client = client(riptide);
    for port in 1..=200 {
        client.announce(&Announce::leecher(id20("disk", 0), port));
    }
    riptide.metrics_until("a save", |m| saves(m, "ok") >= 1.0);
    fail();
    let before = saves(&riptide.metrics(), "error");
    riptide.metrics_until("three saves that failed", |m| saves(m, "error") >= before + 3.0);
    assert_eq!(client.row(id20("disk", 0)).leechers, 200);
    assert_eq!(lines(riptide, FAILS), 1, "{}", riptide.log_text());
    mend();
    riptide.wait_for_line("that it can be written again", |line| line.contains("can be written again"));
    let after = saves(&riptide.metrics(), "ok");
    riptide.metrics_until("one more save", |m| saves(m, "ok") > after);
    assert_eq!((lines(riptide, FAILS), lines(riptide, "can be written again")), (1, 1));
}

/// Whatever happened, what is had is whole.
fn has_all(directory: &Arc<TempDir>) {
    let riptide = start(directory).ready();
    assert_eq!(client(&riptide).row(id20("disk", 0)).leechers, 200, "{}", riptide.log_text());
    riptide.kill();
}

#[test]
fn a_full_disk_stops_saving_and_nothing_else() {
    let directory = directory();
    let disk = Disk::new(&directory);
    let riptide = start(&directory).ready();
    fails_and_works_again(
        &riptide,
        || disk.fill(),
        || {
            // The file from before is still there, and no part of another.
            let mut names: Vec<_> =
                fs::read_dir(&disk.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.retain(|name| !name.to_string_lossy().contains(".new."));
            names.sort();
            assert_eq!(names, ["connection-id.key", "filler", "swarms.riptide"]);
            fs::remove_file(disk.0.join("filler")).expect("the filler");
        },
    );
    riptide.kill();
    has_all(&directory);
}

#[test]
fn a_disk_that_is_read_only_stops_saving_and_nothing_else() {
    let directory = directory();
    let disk = Disk::new(&directory);
    let riptide = start(&directory).ready();
    fails_and_works_again(&riptide, || disk.remount(MsFlags::MS_RDONLY), || disk.remount(MsFlags::empty()));
    riptide.kill();
    // What is there is restored, although the start can write nothing; that is told once.
    disk.remount(MsFlags::MS_RDONLY);
    let riptide = start(&directory).ready();
    assert_eq!(client(&riptide).row(id20("disk", 0)).leechers, 200, "{}", riptide.log_text());
    riptide.metrics_until("a save that failed", |m| saves(m, "error") >= 1.0);
    assert_eq!(lines(&riptide, "WARN"), 1, "{}", riptide.log_text());
    riptide.stop();
    // A bad file that cannot be set aside is no reason not to start either.
    disk.remount(MsFlags::empty());
    fs::write(disk.0.join("swarms.riptide"), "no such thing").expect("a file");
    disk.remount(MsFlags::MS_RDONLY);
    let riptide = start(&directory).ready();
    assert_eq!(lines(&riptide, "could not be set aside"), 1, "{}", riptide.log_text());
    riptide.stop();
}

#[test]
fn a_directory_that_is_gone_stops_saving_and_nothing_else() {
    let directory = directory();
    let state = directory.path().join("state");
    let riptide = start(&directory).ready();
    fails_and_works_again(
        &riptide,
        || {
            // Were it only gone, it would be made again.
            while fs::remove_dir_all(&state).and_then(|()| fs::write(&state, "in the way")).is_err() {}
        },
        || fs::remove_file(&state).expect("the file"),
    );
    riptide.kill();
    has_all(&directory);
}

/// What was saved as root goes along when the process becomes somebody else.
#[test]
fn swarms_go_along_to_another_user() {
    let directory = directory();
    let path = directory.path().join("state/swarms.riptide");
    let riptide = start(&directory).ready();
    client(&riptide).announce(&Announce::seeder(id20("user", 0), 1));
    riptide.stop();
    assert_eq!(fs::metadata(&path).expect("the file").uid(), 0);
    let riptide = start(&directory).config("[privileges]\nuser = \"nobody\"\n").ready();
    assert_eq!(client(&riptide).row(id20("user", 0)).seeders, 1, "{}", riptide.log_text());
    client(&riptide).announce(&Announce::seeder(id20("user", 0), 2));
    riptide.stop();
    let metadata = fs::metadata(&path).expect("the file");
    assert_ne!(metadata.uid(), 0);
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    // And root has it back, since the directory is theirs whose the file is.
    let riptide = start(&directory).ready();
    assert_eq!(client(&riptide).row(id20("user", 0)).seeders, 2, "{}", riptide.log_text());
}

/// As whoever just tries it, on a machine where the service runs too.
#[test]
fn a_directory_that_is_somebody_elses_is_one_warning() {
    let directory = directory();
    start(&directory).ready().stop();
    fs::set_permissions(directory.path().join("state"), PermissionsExt::from_mode(0o700)).expect("its owner");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let riptide = start(&directory).through(&nobody).environment("RIPTIDE_CONTROL__LISTEN", "off").ready();
    riptide.metrics_until("a save that failed", |m| saves(m, "error") >= 1.0);
    assert_eq!(lines(&riptide, "WARN"), 1, "{}", riptide.log_text());
    riptide.stop();
}

/// A file that belongs to nobody who may put one there, or a link: set aside, whoever the process becomes.
#[test]
fn a_file_of_somebody_elses_is_set_aside() {
    for what in ["another user's", "a link"] {
        let directory = directory();
        let riptide = start(&directory).ready();
        client(&riptide).announce(&Announce::seeder(id20("user", 0), 1));
        riptide.stop();
        let path = directory.path().join("state/swarms.riptide");
        change(&path, what);
        let riptide = start(&directory).ready();
        assert_eq!(client(&riptide).row(id20("user", 0)).seeders, 0, "{what}");
        assert_eq!(lines(&riptide, "set the file aside"), 1, "{what}: {}", riptide.log_text());
    }
}

fn change(path: &Path, what: &str) {
    if what == "a link" {
        fs::rename(path, path.with_extension("elsewhere")).expect("the file");
        std::os::unix::fs::symlink(path.with_extension("elsewhere"), path).expect("a link");
    } else {
        chown(path, Some(Uid::from_raw(4711)), None).expect("root");
    }
}
