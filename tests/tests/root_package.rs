//! The packages: their formats, and their life on a machine that has no systemd running, where the tracker runs by the command line
//! of its unit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::File,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};
use tempfile::TempDir;
use tests::{
    debian::{Debian, file, make_packages},
    eventually,
    load::Steady,
    metrics::Metrics,
    service::address,
    udp::{Announce, Client, id20},
};

/// What a command of this machine prints; it must succeed.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}; `cargo xtask test` installs it"));
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}{err}", output.status);
    out
}

/// A shell takes it for a script.
fn is_script(text: &str) {
    let mut child = Command::new("sh").args(["-n"]).stdin(Stdio::piped()).spawn().expect("a shell");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

/// What both packages install.
const FILES: &[&str] = &[
    "/etc/riptide/riptide.toml",
    "/usr/bin/riptide",
    "/usr/lib/systemd/system/riptide.service",
    "/usr/lib/sysctl.d/10-riptide.conf",
    "/usr/lib/sysusers.d/riptide.conf",
    "/usr/libexec/riptide/package",
    "/usr/share/bash-completion/completions/riptide",
    "/usr/share/fish/vendor_completions.d/riptide.fish",
    "/usr/share/man/man1/riptide.1.gz",
    "/usr/share/man/man1/riptide-control-ban-add.1.gz",
    "/usr/share/man/man5/riptide.toml.5.gz",
    "/usr/share/riptide/nats/certificates",
    "/usr/share/riptide/nats/nats-server.conf",
    "/usr/share/riptide/riptide.json",
    "/usr/share/riptide/riptide.rules.yml",
];

fn holds_all(listed: &str, more: &str) {
    let lines: Vec<&str> = listed.lines().collect();
    for file in FILES.iter().chain(&[more]) {
        assert!(lines.contains(file), "no {file} in\n{listed}");
    }
}

/// Checks of each format by the tools of its own distribution.
fn formats_are_right(packages: &Path) {
    let names = printed("sh", &["-c", &format!("cd {} && sha256sum --check SHA256SUMS", packages.display())]);
    assert_eq!(names.lines().filter(|line| line.ends_with(": OK")).count(), 4, "{names}");

    let deb = file(packages, ".deb").display().to_string();
    printed("lintian", &["--fail-on", "error", "--no-tag-display-limit", "--allow-root", &deb]);
    let listed = printed("sh", &["-c", &format!("dpkg-deb --fsys-tarfile {deb} | tar --list")]);
    let paths: String = listed.lines().map(|line| format!("{}\n", &line[1..])).collect();
    holds_all(&paths, "/usr/share/zsh/vendor-completions/_riptide");
    let conffiles = printed("dpkg-deb", &["--info", &deb, "conffiles"]);
    assert_eq!(conffiles.trim(), "/etc/riptide/riptide.toml");

    let rpm = file(packages, ".rpm").display().to_string();
    holds_all(&printed("rpm", &["-qpl", &rpm]), "/usr/share/zsh/site-functions/_riptide");
    let kept = printed("rpm", &["-qp", "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]", &rpm]);
    assert!(
        kept.lines().any(|line| line.starts_with("/etc/riptide/riptide.toml ") && line.contains('n')),
        "{kept}"
    );
    for script in ["POSTIN", "PREUN", "POSTUN"] {
        let text = printed("rpm", &["-qp", "--qf", &format!("%{{{script}}}"), &rpm]);
        assert!(text.contains("riptide") || text.contains("systemctl"), "{script}: {text}");
        is_script(&text);
    }

    let tarball = file(packages, ".tar.xz").display().to_string();
    let listed = printed("tar", &["--list", "--file", &tarball]);
    let top = listed.lines().next().expect("a directory").trim_end_matches('/');
    for name in
        ["riptide", "riptide.service", "INSTALL.md", "man/riptide.1", "completions/_riptide", "LICENSE-MIT"]
    {
        assert!(listed.lines().any(|line| line == format!("{top}/{name}")), "no {name} in\n{listed}");
    }
    let containerfile =
        std::fs::read_to_string(packages.join("container/Containerfile")).expect("a Containerfile");
    let copies = containerfile.lines().filter(|line| line.starts_with("COPY "));
    for line in copies {
        let source =
            line.split(' ').find(|word| *word != "COPY" && !word.starts_with("--")).expect("a source");
        assert!(packages.join("container").join(source).exists(), "{line}");
    }
    let debug = file(packages, ".debug");
    let build_id = |path: &Path| {
        let notes = printed("readelf", &["-n", &path.display().to_string()]);
        notes.lines().find_map(|line| Some(line.split_once("Build ID: ")?.1.to_owned())).expect("a build ID")
    };
    assert_eq!(build_id(&debug), build_id(&packages.join("container/riptide")), "symbols of another program");
}

/// Man pages without a complaint, and completions that a shell takes.
fn pages_and_completions_are_right(debian: &Debian) {
    for section in ["man1", "man5"] {
        for entry in std::fs::read_dir(debian.path("/usr/share/man").join(section)).unwrap().flatten() {
            let page = entry.path().display().to_string();
            if !entry.file_name().to_string_lossy().starts_with("riptide") {
                continue;
            }
            let line = format!("zcat {page} | LC_ALL=C.UTF-8 groff -K utf8 -man -ww -z");
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && complaints.is_empty(), "{page}: {complaints}");
        }
    }
    let complete = "source /usr/share/bash-completion/completions/riptide && \
                    COMP_WORDS=(riptide con) COMP_CWORD=1 && _riptide riptide con riptide && echo ${COMPREPLY[@]}";
    let output = debian.command("bash -c").arg(complete).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "config control", "{output:?}");
}

/// The same package with another version, as a second build is.
fn second_build(deb: &Path, work: &Path) -> PathBuf {
    let (tree, second) = (work.join("second"), work.join("riptide_second.deb"));
    let paths = [deb, &tree, &second].map(|path| path.display().to_string());
    printed("dpkg-deb", &["--raw-extract", &paths[0], &paths[1]]);
    let control = tree.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).unwrap();
    let version = text.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap();
    std::fs::write(&control, text.replace(version, "99.0.0-1")).unwrap();
    printed("dpkg-deb", &["--root-owner-group", "-Zgzip", "-z1", "--build", &paths[1], &paths[2]]);
    second
}

/// A setting of the installed unit.
fn unit(debian: &Debian, key: &str) -> String {
    let text = debian.read("/usr/lib/systemd/system/riptide.service");
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {key}")).to_owned()
}

/// A tracker that runs by the command line of the unit, as its user, with its capabilities. What it and its successors say is in a
/// file.
struct Tracker {
    child: Child,
    log: PathBuf,
}

impl Tracker {
    fn start(debian: &Debian, work: &Path) -> Self {
        let (user, directory) = (unit(debian, "User"), unit(debian, "RuntimeDirectory"));
        debian.run(&format!("install -d -o {user} -g {user} /run/{directory}"));
        let capabilities: Vec<String> = unit(debian, "AmbientCapabilities")
            .split(' ')
            .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
            .collect();
        let capabilities = capabilities.join(",");
        let log = work.join("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let begin = std::fs::metadata(&log).unwrap().len();
        let become_it = format!(
            "setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs \
             --inh-caps=-all,{capabilities} --ambient-caps=-all,{capabilities}"
        );
        let mut command = debian.command(&format!("{become_it} {}", unit(debian, "ExecStart")));
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let mut tracker = Self { child, log };
        eventually("the tracker to be up", || {
            assert!(tracker.child.try_wait().unwrap().is_none(), "{}", tracker.said());
            let said = tracker.said();
            let said = said.get(usize::try_from(begin).unwrap()..)?;
            said.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "ready").then_some(())
        });
        tracker
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn ended(&mut self) -> ExitStatus {
        eventually("the tracker to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::io::stderr().write_all(self.said().as_bytes());
        }
    }
}

/// The process that answers at the control socket.
fn running(debian: &Debian) -> u64 {
    let answer = debian.run("riptide control --json status");
    let status: serde_json::Value = serde_json::from_str(&answer).unwrap();
    status["pid"].as_u64().unwrap()
}

fn metrics(debian: &Debian) -> Metrics {
    debian.host.run(|| Metrics::get(address("127.0.0.1:9000")))
}

fn answers(debian: &Debian) {
    let client = debian.host.run(|| Client::new("127.0.0.1".parse().unwrap(), address("127.0.0.1:6969")));
    client.connect();
    client.announce(&Announce::leecher(id20("package", 0), 1));
}

fn install(debian: &Debian, package: &Path) -> String {
    debian.run(&format!("dpkg --install /root/{}", package.file_name().unwrap().to_string_lossy()))
}

/// What the scripts tell a systemd that says that the unit is active: a stand-in for systemctl writes it down.
fn systemd_is_told(deb: &Path, second: &Path) {
    let debian = Debian::new();
    [deb, second].into_iter().for_each(|package| debian.bring(package));
    std::fs::create_dir_all(debian.path("/run/systemd/system")).unwrap();
    let stand_in = debian.path("/usr/bin/systemctl");
    std::fs::write(&stand_in, "#!/bin/sh\necho \"$*\" >>/root/told\n").unwrap();
    std::fs::set_permissions(&stand_in, PermissionsExt::from_mode(0o755)).unwrap();
    let told = || {
        let told = std::fs::read_to_string(debian.path("/root/told")).unwrap_or_default();
        let _ = std::fs::remove_file(debian.path("/root/told"));
        told.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let restart = "restart riptide.service".to_owned();

    install(&debian, deb);
    let first = told();
    assert!(first.iter().any(|line| line.contains("preset riptide.service")), "{first:?}");
    // Nobody answers at the control socket, so there is nobody to hand over.
    let said = install(&debian, second);
    assert!(said.contains("restarting it") && told().contains(&restart), "{said}");
    let config = debian.path("/etc/riptide/riptide.toml");
    let mut file = File::options().append(true).open(config).unwrap();
    file.write_all(b"[no_such_table]\n").unwrap();
    let said = install(&debian, deb);
    assert!(said.contains("`no_such_table` does not exist") && !told().contains(&restart), "{said}");
    debian.run("dpkg --remove riptide");
    assert!(told().contains(&"stop riptide.service".to_owned()));
}

#[test]
fn the_packages_live_from_installation_to_purge() {
    let work = TempDir::with_prefix("riptide-test-").unwrap();
    let packages = work.path().join("packages");
    make_packages(&packages);
    formats_are_right(&packages);

    let debian = Debian::new();
    let deb = file(&packages, ".deb");
    let second = second_build(&deb, work.path());
    [&deb, &second].into_iter().for_each(|package| debian.bring(package));
    let before = debian.files();

    // Installed, it runs by the command line of its unit.
    install(&debian, &deb);
    pages_and_completions_are_right(&debian);
    let state = std::fs::metadata(debian.path("/var/lib/riptide")).unwrap();
    let user = debian.run("id -u riptide").trim().to_owned();
    assert_eq!((state.uid().to_string(), state.permissions().mode() & 0o777), (user, 0o700));
    debian.run("riptide config check /etc/riptide/riptide.toml");
    let mut tracker = Tracker::start(&debian, work.path());
    answers(&debian);

    // A second build takes over from it under load.
    let load = Steady::start(Some(&debian.host), address("127.0.0.1:6969"), "127.0.1.0/29", 1);
    eventually("the load's peers", || (metrics(&debian).stored()[1] > Steady::PEERS).then_some(()));
    let first = running(&debian);
    let said = install(&debian, &second);
    assert!(said.contains("riptide: handed over"), "{said}");
    assert_eq!(tracker.ended().code(), Some(0), "{}", tracker.said());
    assert_ne!(running(&debian), first, "{said}");
    assert!(debian.run("dpkg --status riptide").contains("Version: 99.0.0-1"));
    let figures = load.end();
    assert!(figures.count("answered") > 0);

    // With a configuration that is wrong, the one that runs serves on.
    let config = debian.path("/etc/riptide/riptide.toml");
    let right = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{right}\n[no_such_table]\n")).unwrap();
    let served = running(&debian);
    let said = install(&debian, &deb);
    assert!(said.contains("did not hand over") && said.contains("serves on"), "{said}");
    assert_eq!(running(&debian), served);
    answers(&debian);
    std::fs::write(&config, right).unwrap();

    // Removed while it runs, it stops, and leaves what it knows.
    let said = debian.run("dpkg --remove riptide");
    assert!(!said.contains("still runs"), "{said}");
    let status = std::fs::read_to_string(format!("/proc/{served}/status")).unwrap_or_default();
    let is_over = status.is_empty() || status.contains("(zombie)");
    assert!(is_over, "{}", tracker.said());
    assert!(!debian.path("/usr/bin/riptide").exists());
    assert!(debian.path("/var/lib/riptide/swarms.riptide").exists() && config.exists());

    // Installed again it knows that still, and is purged while it runs.
    install(&debian, &deb);
    let mut tracker = Tracker::start(&debian, work.path());
    assert!(metrics(&debian).stored()[1] > Steady::PEERS);
    let said = debian.run("dpkg --purge riptide");
    assert!(!said.contains("still runs"), "{said}");
    assert_eq!(tracker.ended().code(), Some(0), "{}", tracker.said());
    let left: Vec<String> = debian.files().into_iter().filter(|path| !before.contains(path)).collect();
    let may_be_left = [
        "/run/riptide",
        "/etc/passwd-",
        "/etc/group-",
        "/etc/shadow-",
        "/etc/gshadow-",
        "/var/lib/dpkg/",
        "/var/log/",
    ];
    let litter: Vec<&String> =
        left.iter().filter(|path| !may_be_left.iter().any(|known| path.starts_with(known))).collect();
    assert!(litter.is_empty(), "{litter:?}");
    debian.run("id -u riptide");

    systemd_is_told(&deb, &second);
}
