//! The log is best effort: whatever becomes of whoever reads standard error, the tracker serves on, counts the lines that
//! are lost, and stops as it always does.
//!
//! Where the log cannot be read, the tracker is reached by a Unix socket, and the port of its metrics is looked up in /proc.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::{
    fcntl::OFlag,
    pty::{grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, PipeReader, pipe},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream, process::ExitStatusExt},
    },
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tests::{
    eventually,
    metrics::Metrics,
    net::run,
    riptide::Start,
    udp::id20,
    web::{
        http::{Announce, Announced, Connection},
        stream::unix,
    },
};

/// The least that a pipe holds, bytes: one page.
const PIPE: i32 = 4096;

/// A tracker of which nothing is read. Killed when dropped.
struct Daemon {
    child: Child,
    directory: Arc<TempDir>,
}

impl Daemon {
    /// Starts it with this as its standard error.
    fn new(stderr: impl Into<Stdio>) -> Self {
        Self::begin(Start::new(None), Stdio::null(), stderr)
    }

    fn begin(start: Start<'_>, stdin: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let directory = Arc::new(TempDir::with_prefix("riptide-log-").expect("a directory"));
        let http = format!("listen = [\"unix:{}\"]", directory.path().join("http.sock").display());
        let start = start
            .arguments("--udp 127.0.0.1:0")
            .http(&http)
            .config("[log]\nqueue_size = \"4KiB\"\n[swarm]\ninterval_jitter = 0\ninterval = \"1m\"");
        let (mut command, directory) = start.directory(directory).command();
        let child = command.stdin(stdin).stderr(stderr).spawn().expect("to start riptide");
        let daemon = Self { child, directory };
        eventually("the tracker to serve", || {
            // There is a moment between the name and whoever answers there.
            UnixStream::connect(daemon.socket()).ok()?;
            (daemon.connect().get("/health").status == 200).then_some(())
        });
        daemon
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("http.sock")
    }

    fn connect(&self) -> Connection {
        Connection::new(unix(&self.socket()), "X-Forwarded-For: 192.0.2.1\r\n")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process ID"))
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a living process");
    }

    /// Makes it read another interval, which is one line of its log, and waits until it has.
    fn reload(&self, minutes: u32) {
        let file = self.directory.path().join("riptide.toml");
        let text = std::fs::read_to_string(&file).expect("its configuration");
        let (head, _) = text.split_once("interval = ").expect("an interval");
        std::fs::write(&file, format!("{head}interval = \"{minutes}m\"\n")).expect("a configuration");
        self.signal(Signal::SIGHUP);
        let target = Announce::seeder(id20("log", 0), 1).target();
        eventually("the new interval", || {
            let interval = Announced::read(&self.connect().get(&target)).interval;
            (interval == i64::from(minutes) * 60).then_some(())
        });
    }

    fn metrics(&self) -> Metrics {
        Metrics::get(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.metrics_port()))
    }

    /// The port of its only TCP listener.
    fn metrics_port(&self) -> u16 {
        let process = PathBuf::from(format!("/proc/{}", self.pid()));
        let links = std::fs::read_dir(process.join("fd")).expect("its descriptors").flatten();
        let open: Vec<String> = links
            .filter_map(|link| std::fs::read_link(link.path()).ok())
            .map(|target| target.display().to_string())
            .collect();
        let sockets = std::fs::read_to_string(process.join("net/tcp")).expect("the system's sockets");
        let mut ports = sockets.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (address, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
            let (_, port) = address.split_once(':')?;
            (*state == "0A" && open.contains(&format!("socket:[{inode}]")))
                .then(|| u16::from_str_radix(port, 16).expect("a port"))
        });
        ports.next().expect("a listener for metrics")
    }

    fn lost(&self) -> f64 {
        self.metrics().sum("riptide_log_lines_lost_total", &[])
    }

    /// Loses lines and serves on.
    fn serves_without_a_log(&self) {
        let before = self.lost();
        for minutes in 2..=4 {
            self.reload(minutes);
        }
        // The last lines of the start may be among them.
        eventually("three lines to be counted", || (self.lost() >= before + 3.0).then_some(()));
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the tracker to end", || self.child.try_wait().expect("a child"))
    }

    fn stops_well(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "signal {:?}", status.signal());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that holds little.
fn small_pipe() -> (PipeReader, OwnedFd) {
    let (reader, writer) = pipe().expect("a pipe");
    nix::fcntl::fcntl(writer.as_fd(), nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE)).expect("a small pipe");
    (reader, writer.into())
}

/// A pipe that holds no more.
fn full_pipe() -> (PipeReader, OwnedFd) {
    let (reader, writer) = small_pipe();
    nix::unistd::write(writer.as_fd(), &[b'\n'; PIPE as usize]).expect("room for a page");
    (reader, writer)
}

#[test]
fn a_reader_that_is_gone() {
    let (reader, writer) = pipe().expect("a pipe");
    let daemon = Daemon::new(writer);
    drop(reader);
    daemon.serves_without_a_log();
    daemon.stops_well();
}

#[test]
fn a_reader_that_is_gone_and_a_stop_alone() {
    let (reader, writer) = pipe().expect("a pipe");
    let daemon = Daemon::new(writer);
    drop(reader);
    daemon.stops_well();
}

#[test]
fn a_full_disk() {
    let daemon = Daemon::new(File::options().write(true).open("/dev/full").expect("/dev/full"));
    assert!(daemon.lost() > 0.0, "all lines so far");
    daemon.serves_without_a_log();
    daemon.stops_well();
}

/// As where `ulimit -f` or a service manager limits files. The limit comes with a signal, which kills whoever does not
/// expect it.
#[test]
fn a_file_that_may_not_grow() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("log");
    let file = File::options().create(true).append(true).open(&path).expect("a file");
    let daemon = Daemon::new(file);
    eventually("the last line of the start", || {
        std::fs::read_to_string(&path).ok().filter(|log| log.contains("ready") && log.ends_with('\n'))
    });
    let size = std::fs::metadata(&path).expect("the log").len();
    // A part of the next line fits.
    run("prlimit", &["--pid", &daemon.pid().to_string(), &format!("--fsize={}:", size + 10)]);
    daemon.serves_without_a_log();
    assert_eq!(std::fs::metadata(&path).expect("the log").len(), size + 10);
    // Somebody makes room.
    File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("an empty log");
    run("prlimit", &["--pid", &daemon.pid().to_string(), "--fsize=65536:"]);
    daemon.reload(5);
    let log = eventually("a line that tells of the loss", || {
        std::fs::read_to_string(&path).ok().filter(|log| log.contains("lost"))
    });
    assert!(log.contains(" 3 lines") && log.contains("File too large"), "{log}");
    assert!(log.trim_start().lines().all(|line| line.contains("tracker_user")), "each line whole:\n{log}");
    assert_eq!(daemon.lost(), 3.0);
    daemon.stops_well();
}

/// Who logs waits for nobody: not for the first line, and not with requests in hand.
#[test]
fn a_reader_that_is_stuck() {
    let (_reader, writer) = full_pipe();
    let daemon = Daemon::new(writer);
    let mut minutes = 2;
    while daemon.lost() == 0.0 {
        daemon.reload(minutes);
        minutes += 1;
    }
    daemon.serves_without_a_log();
    daemon.stops_well();
}

#[test]
fn a_reader_that_is_stuck_and_a_second_signal() {
    let (_reader, writer) = full_pipe();
    let mut daemon = Daemon::new(writer);
    let mut half = daemon.connect();
    assert_eq!(half.get("/health").status, 200);
    // It would wait for the rest of this.
    half.send(b"GET /announce HTTP/1.1\r\n");
    daemon.signal(Signal::SIGTERM);
    eventually("the listener to go", || (!daemon.socket().exists()).then_some(()));
    daemon.signal(Signal::SIGTERM);
    // Had it waited, the status would be 0.
    assert_eq!(daemon.wait().code(), Some(1));
}

/// Every line is read or counted, and a line says how many were not.
#[test]
fn a_reader_that_was_stuck_for_a_while() {
    let (reader, writer) = small_pipe();
    let daemon = Daemon::new(writer);
    let mut reloads = 0;
    while daemon.lost() < 5.0 {
        reloads += 1;
        daemon.reload(1 + reloads);
    }
    let lost = daemon.lost();
    let mut lines = BufReader::new(reader).lines();
    let mut read = 0;
    let told = loop {
        let line = lines.next().expect("a line that tells of the loss").expect("a line");
        read += u32::from(line.contains("reloaded"));
        if line.contains("lost") {
            break line;
        }
    };
    assert!(told.contains("WARN") && told.contains(&format!(" {lost} lines")), "{told}");
    assert_eq!(f64::from(read) + lost, f64::from(reloads), "{told}");
    daemon.reload(1);
    assert!(lines.next().expect("another line").expect("a line").contains("reloaded"));
    assert_eq!(daemon.lost(), lost);
    daemon.stops_well();
}

/// The terminal is its controlling one, so that it is also sent a SIGHUP, which reloads.
#[test]
fn a_closed_terminal() {
    // Nobody else may inherit either side.
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let terminal = posix_openpt(flags).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("the other side");
    let name = ptsname_r(&terminal).expect("its name");
    let side = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name);
    let side = side.expect("the other side");
    let stdin = side.try_clone().expect("a descriptor");
    let daemon = Daemon::begin(Start::new(None).through(&["setsid", "--ctty"]), stdin, side);
    drop(terminal);
    eventually("a line to be lost", || (daemon.lost() >= 1.0).then_some(()));
    daemon.serves_without_a_log();
    daemon.stops_well();
}

/// The exit status tells of a failed start, whoever reads the line that says why.
#[test]
fn a_failed_start_is_exit_status_1_without_a_log() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let arguments = format!("--udp {}", taken.local_addr().expect("its address"));
    let fails = |case: &str, through: &[&str], stderr: Stdio| {
        let (mut command, _directory) = Start::new(None).arguments(&arguments).through(through).command();
        let child = command.stderr(stderr).spawn().expect("to start riptide");
        let mut child = Killed(child);
        let status = eventually(case, || child.0.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(1), "{case}: signal {:?}", status.signal());
    };
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    fails("a reader that is gone", &[], writer.into());
    fails("a full disk", &[], File::options().write(true).open("/dev/full").expect("/dev/full").into());
    fails(
        "a file that may not grow",
        &["prlimit", "--fsize=0:0"],
        tempfile::tempfile().expect("a file").into(),
    );
    let (_reader, writer) = full_pipe();
    fails("a reader that is stuck", &[], writer.into());
}

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
