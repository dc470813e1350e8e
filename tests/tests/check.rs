//! `riptide config check` finds what `riptide run` would refuse, by the same words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};
use tests::{
    riptide::{Start, command},
    web::tls::Certificate,
};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn check(file: &Path) -> (Option<i32>, String) {
    let output = command(&["config", "check", &file.display().to_string()]);
    (output.status.code(), said(&output))
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let file = directory.join(name);
    std::fs::write(&file, text).expect("a file");
    file
}

/// Both refuse it with status 2, and name the key and what is wrong.
#[test]
fn what_is_named_and_not_to_be_had_is_found_by_both() {
    let directory = tempfile::tempdir().expect("a directory");
    let hash = "00".repeat(20);
    let list = write(directory.path(), "list", &format!("{hash}\nzz\n"));
    let listed = format!("[access]\nmode = \"allow\"\ninfo_hashes = {:?}\n", list.display().to_string());
    let unlisted = "[access]\nmode = \"deny\"\ninfo_hashes = \"/nonexistent/list\"\n";
    let user = "[privileges]\nuser = \"no-such-user-here\"\n";
    let group = "[privileges]\nuser = \"0\"\ngroup = \"no-such-group-here\"\n";
    let (one, other) = (Certificate::new(), Certificate::new());
    let mixed = format!(
        "[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = {:?}\nkey = {:?}\n",
        one.certificate_file().display().to_string(),
        other.key_file().display().to_string()
    );
    let login = write(directory.path(), "login", "node-a\n");
    let nobody = format!(
        "[cluster]\nservers = [\"nats://127.0.0.1\"]\nnode = \"a\"\nlogin = {:?}\n",
        login.display().to_string()
    );
    let seedless =
        "[cluster]\nservers = [\"nats://127.0.0.1\"]\nnode = \"a\"\nnkey = \"/nonexistent/seed\"\n";
    let cases = [
        (nobody.as_str(), &["cluster.login", "the password in its second"][..]),
        (seedless, &["cluster.nkey", "/nonexistent/seed"]),
        (listed.as_str(), &["access.info_hashes", "line 2", "zz"][..]),
        (unlisted, &["access.info_hashes", "/nonexistent/list"]),
        (user, &["privileges.user", "no-such-user-here"]),
        (group, &["privileges.group", "no-such-group-here"]),
        (&mixed, &["tls.key", "does not belong"]),
        // All of it at once, and what no file shows.
        (
            &format!("{listed}{user}[swarm]\nmin_interval = \"31m\"\n"),
            &["access.info_hashes", "privileges.user", "swarm.min_interval"],
        ),
    ];
    for (text, named) in cases {
        let file = write(directory.path(), "riptide.toml", text);
        let (status, checked) = check(&file);
        assert_eq!(status, Some(2), "{text}{checked}");
        let mut riptide = Start::new(None).arguments("--udp 127.0.0.1:0").config(text).spawn();
        assert_eq!(riptide.wait().code(), Some(2), "{text}{}", riptide.log_text());
        for said in [checked, riptide.log_text()] {
            for name in named {
                assert!(said.contains(name), "{name} is not named:\n{text}{said}");
            }
        }
    }
}

/// The place in the file comes first, as for every error.
#[test]
fn the_line_of_the_key_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(directory.path(), "riptide.toml", "[privileges]\n\nuser = \"no-such-user-here\"\n");
    let (_, said) = check(&file);
    assert!(said.contains(&format!("{}:3: privileges.user: ", file.display())), "{said}");
}

/// It may be there when the tracker starts.
#[test]
fn what_the_machine_lacks_now_is_a_warning() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "[udp]\nlisten = [\"192.0.2.7:6969\", \"127.0.0.1:6969\"]\n\
                [http]\nlisten = [\"192.0.2.8:80\", \"unix:/nonexistent/http.sock\"]\n\
                [xdp]\ninterfaces = [\"nosuchif0\", \"lo\"]\n\
                [metrics]\nlisten = \"192.0.2.9:9000\"\n";
    let (status, said) = check(&write(directory.path(), "riptide.toml", text));
    assert_eq!(status, Some(0), "{said}");
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("warning")).collect();
    for named in ["192.0.2.7", "192.0.2.8", "192.0.2.9", "/nonexistent/http.sock", "nosuchif0"] {
        let of = warnings.iter().filter(|line| line.contains(named)).count();
        assert_eq!(of, 1, "a warning that names {named}:\n{said}");
    }
    assert_eq!(warnings.len(), 5, "{said}");
    assert!(said.contains("no errors"), "{said}");
    // What others could read.
    let login = write(directory.path(), "login", "node-a\npassword\n");
    std::fs::set_permissions(&login, Permissions::from_mode(0o644)).expect("a mode");
    let text = format!(
        "[cluster]\nservers = [\"nats://192.0.2.7\"]\nnode = \"a\"\nlogin = {:?}\n",
        login.display().to_string()
    );
    let (status, said) = check(&write(directory.path(), "riptide.toml", &text));
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("warning")).collect();
    let [open, readable] = warnings.as_slice() else { panic!("two warnings:\n{said}") };
    assert!(status == Some(0) && open.contains("nats://192.0.2.7:4222 need not speak TLS"), "{said}");
    assert!(readable.contains("cluster.login") && readable.contains("chmod o="), "{said}");
    assert!(!said.contains("password\n"), "{said}");
    // A warning of any kind is told.
    let text = "[swarm]\ninterval = \"1h\"\n";
    let (status, said) = check(&write(directory.path(), "riptide.toml", text));
    assert!(status == Some(0) && said.contains("swarm.peer_timeout"), "{said}");
}
