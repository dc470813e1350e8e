use super::*;
use std::{
    os::unix::fs::{MetadataExt, symlink},
    process::Command,
};

const XDP: Needs = Needs { xdp: true, busy_poll: false };
const SOCKETS: Needs = Needs { xdp: false, busy_poll: false };
/// Set in the process that gives its privileges up, to the needs it has.
const CHILD: &str = "PRIVILEGES_TEST_CHILD";
/// A user and group that need no entry anywhere.
const NOBODY: u32 = 54_321;

fn wanted(user: &str, group: &str) -> config::Privileges {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    config::Privileges { user: some(user), group: some(group) }
}

fn identity() -> Identity {
    Identity { name: None, uid: Uid::from_raw(NOBODY), gid: Gid::from_raw(NOBODY) }
}

/// Tells on standard error, which cargo-nextest shows, that what follows needs root.
fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("not root: this test shows nothing");
    }
    root
}

#[test]
fn sockets_alone_need_nothing() {
    assert!(capabilities(SOCKETS).is_empty());
}

#[test]
fn the_fast_path_keeps_no_more_than_it_needs() {
    let mut names: Vec<_> = capabilities(XDP).iter().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["CAP_BPF", "CAP_IPC_LOCK", "CAP_NET_RAW"]);
    assert!(capabilities(Needs { xdp: true, busy_poll: true }).contains(&Capability::CAP_NET_ADMIN));
    assert!(capabilities(XDP).is_subset(&START_CAPABILITIES.into_iter().collect()));
}

#[test]
fn without_a_user_nothing_changes() {
    assert_eq!(Identity::resolve(&wanted("", "")).unwrap(), None);
}

#[test]
fn unknown_names_are_named() {
    let error = Identity::resolve(&wanted("no-such-user-here", "")).unwrap_err().to_string();
    assert!(error.contains("privileges.user") && error.contains("no-such-user-here"), "{error}");
    let error = Identity::resolve(&wanted("root", "no-such-group-here")).unwrap_err().to_string();
    assert!(error.contains("privileges.group") && error.contains("no-such-group-here"), "{error}");
    let error = Identity::resolve(&wanted("54321", "")).unwrap_err();
    assert!(matches!(error, PrivilegeError::GroupNeeded(_)), "{error}");
}

#[test]
fn several_threads_are_refused() {
    let (tell, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    assert!(matches!(identity().become_it(SOCKETS), Err(PrivilegeError::Threads(2..))));
    drop(tell);
    assert!(thread.join().unwrap().is_err());
}

#[test]
fn the_state_directory_is_handed_over_with_its_file() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(KEY_FILE);
    fs::write(&file, "").unwrap();
    identity().hand_over(directory.path()).unwrap();
    for path in [directory.path(), &file] {
        let metadata = path.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (NOBODY, NOBODY), "{}", path.display());
    }
    identity().hand_over(&directory.path().join("absent")).unwrap();
}

#[test]
fn a_directory_that_others_use_keeps_its_owner() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for name in [KEY_FILE, "somebody's"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    identity().hand_over(directory.path()).unwrap();
    assert_eq!(directory.path().metadata().unwrap().uid(), 0);
    assert_eq!(directory.path().join("somebody's").metadata().unwrap().uid(), 0);
    assert_eq!(directory.path().join(KEY_FILE).metadata().unwrap().uid(), NOBODY);
}

#[test]
fn links_lead_nowhere() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let precious = directory.path().join("precious");
    fs::write(&precious, "").unwrap();
    for link in [|a: &Path, b: &Path| symlink(a, b), |a: &Path, b: &Path| fs::hard_link(a, b)] {
        let state = tempfile::tempdir_in(directory.path()).unwrap();
        link(&precious, &state.path().join(KEY_FILE)).unwrap();
        assert!(matches!(identity().hand_over(state.path()), Err(PrivilegeError::HandOver { .. })));
        assert_eq!(precious.metadata().unwrap().uid(), 0);
    }
    let linked = directory.path().join("linked");
    symlink(directory.path(), &linked).unwrap();
    assert!(identity().hand_over(&linked).is_err());
    assert_eq!(directory.path().metadata().unwrap().uid(), 0);
}

/// Runs in a process of its own, since what it gives up is gone for good; see [`in_a_child`].
#[test]
fn child() {
    let Ok(needs) = std::env::var(CHILD) else { return };
    let before = caps::read(None, CapSet::Permitted).unwrap();
    let needs = if needs == "xdp" { XDP } else { SOCKETS };
    identity().give_up(needs).unwrap();
    let keep: CapsHashSet = capabilities(needs).intersection(&before).copied().collect();
    for set in [CapSet::Permitted, CapSet::Effective, CapSet::Bounding] {
        let now = caps::read(None, set).unwrap();
        // Where the bounding set cannot be trimmed, that is not what this looks at.
        if !matches!(set, CapSet::Bounding) || before.contains(&Capability::CAP_SETPCAP) {
            assert_eq!(now, keep, "{set:?}");
        }
    }
    for set in [CapSet::Inheritable, CapSet::Ambient] {
        assert!(caps::read(None, set).unwrap().is_empty(), "{set:?}");
    }
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(line("Uid:"), [NOBODY.to_string().as_str(); 4].join("\t"));
    assert_eq!(line("Gid:"), [NOBODY.to_string().as_str(); 4].join("\t"));
    assert_eq!(line("Groups:"), NOBODY.to_string());
    assert_eq!(line("NoNewPrivs:"), "1");
    assert!(setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_err());
    let raw = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Raw,
        nix::sys::socket::SockFlag::empty(),
        nix::sys::socket::SockProtocol::Udp,
    );
    assert_eq!(raw.is_ok(), keep.contains(&Capability::CAP_NET_RAW));
    println!("child done");
}

fn in_a_child(needs: &str) {
    if !is_root() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "privileges::tests::child", "--nocapture"])
        .env(CHILD, needs)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("child done"), "{text}");
}

#[test]
fn with_xdp_exactly_its_capabilities_stay() {
    in_a_child("xdp");
}

#[test]
fn without_xdp_nothing_stays() {
    in_a_child("sockets");
}

#[test]
fn the_number_that_means_unchanged_is_nobodys() {
    for (user, group) in [("4294967295", "65534"), ("65534", "4294967295")] {
        let error = Identity::resolve(&wanted(user, group)).unwrap_err();
        assert!(matches!(error, PrivilegeError::Unknown { .. }), "{error}");
    }
}
