//! The README's way to run the tracker, word for word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};
use tests::{
    net::{Wire, workspace},
    service::client,
    udp::{Announce, id20},
};

/// The lines of the block that follows the remark that names this test.
fn lines() -> Vec<String> {
    let readme = std::fs::read_to_string(workspace().join("README.md")).expect("the README");
    let (_, after) = readme.split_once("A test runs these lines word for word").expect("the remark");
    let (_, block) = after.split_once("```sh\n").expect("a block of shell lines");
    let (block, _) = block.split_once("\n```").expect("its end");
    block.lines().map(str::to_owned).collect()
}

/// A shell line in the checkout, as somebody without this test's surroundings types it. Who is root already needs no
/// `sudo` to be installed.
fn shell(wire: Option<&Wire>, line: &str, tools: &Path) -> Command {
    let mut command = match wire {
        Some(wire) => wire.tracker.command("sh"),
        None => Command::new("sh"),
    };
    command.args(["-c", line]).current_dir(workspace()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CARGO", "RUST", "NEXTEST", "RIPTIDE"].iter().any(|prefix| name.starts_with(prefix))
            && !["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].contains(&name.as_str())
        {
            command.env_remove(&name);
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", tools.display()));
    command
}

/// A running line, ended with all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn the_operators_lines_work() {
    let lines = lines();
    let [build, run, ask] = lines.as_slice() else { panic!("three lines are expected: {lines:?}") };
    let directory = tempfile::tempdir().expect("a directory");
    let sudo = directory.path().join("sudo");
    std::fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").expect("a script");
    std::fs::set_permissions(&sudo, PermissionsExt::from_mode(0o755)).expect("its owner");

    let built = shell(None, build, directory.path()).output().expect("a shell");
    assert!(built.status.success(), "{build}\n{}", String::from_utf8_lossy(&built.stderr));

    let wire = Wire::new();
    let run = run.replace("IF", "t0");
    let child = shell(Some(&wire), &run, directory.path())
        // The machine's own state is not the test's.
        .env("RIPTIDE_STATE__DIRECTORY", directory.path().join("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("a shell");
    let mut running = Running(child);
    let mut said = Vec::new();
    for line in BufReader::new(running.0.stderr.take().expect("a pipe")).lines().map_while(Result::ok) {
        said.push(line);
        if said.last().is_some_and(|line| line.contains("ready")) {
            break;
        }
    }
    assert!(said.iter().any(|line| line.contains("ready")), "{run}\n{}", said.join("\n"));
    for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
        client(&wire, tracker).announce(&Announce::leecher(id20("readme", 0), 1));
    }

    let asked = shell(Some(&wire), ask, directory.path()).output().expect("a shell");
    let metrics = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{ask}\n{}", String::from_utf8_lossy(&asked.stderr));
    for line in [
        "riptide_xdp_info{interface=\"t0\",mode=\"native\",bind=\"copy\"} 1",
        "riptide_udp_responses_total{path=\"kernel\",action=\"connect\",family=\"ipv4\"} 1",
        "riptide_udp_responses_total{path=\"kernel\",action=\"connect\",family=\"ipv6\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}
