//! The process under test.

use crate::{
    PATIENCE,
    cgroup::Cgroup,
    listener::{Listener, listener},
    metrics::Metrics,
    net::Namespace,
    net::workspace,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::Instant,
};
use tempfile::TempDir;

/// The binary under test: `RIPTIDE_BIN`, else the release build.
#[must_use]
pub fn binary() -> PathBuf {
    let path = std::env::var_os("RIPTIDE_BIN")
        .map_or_else(|| workspace().join("target/release/riptide"), PathBuf::from);
    assert!(path.is_file(), "no binary at {}: `cargo xtask test` builds it", path.display());
    path
}

/// Runs `riptide ARGUMENTS` to its end, for commands that end by themselves.
#[must_use]
pub fn command(arguments: &[&str]) -> Output {
    clean(Command::new(binary())).args(arguments).output().expect("to start riptide")
}

/// The test's own surroundings do not configure the process.
fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RIPTIDE_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

/// How to start it.
#[derive(Default)]
pub struct Start<'a> {
    namespace: Option<&'a Namespace>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    config: String,
    http: Option<String>,
    directory: Option<Arc<TempDir>>,
    metrics_address: Option<SocketAddr>,
    metrics: String,
    control: Option<String>,
    through: Vec<String>,
    program: Option<PathBuf>,
}

impl<'a> Start<'a> {
    /// On this host, or inside a namespace. Metrics are served on a free port of the loopback interface.
    #[must_use]
    pub fn new(namespace: Option<&'a Namespace>) -> Self {
        Self { namespace, ..Self::default() }
    }

    /// In this control group from its first instruction on.
    #[must_use]
    pub fn cgroup(self, cgroup: &Cgroup) -> Self {
        let enter = "echo $$ > \"$0\" && exec \"$@\"";
        self.through(&["sh", "-c", enter, &cgroup.processes().to_string_lossy()])
    }

    /// Adds arguments to `riptide run`, divided by white space.
    #[must_use]
    pub fn arguments(mut self, arguments: &str) -> Self {
        self.arguments.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds tables to the configuration file; `[state]`, `[metrics]`, `[control]` and `[http]` are the harness's.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config += toml;
        self.config.push('\n');
        self
    }

    /// Adds keys to the table `[http]`. Without this (or `--http`) there is no HTTP listener, since the default one's
    /// port is fixed; with no key named `listen` it is the default one.
    #[must_use]
    pub fn http(mut self, keys: &str) -> Self {
        let http = self.http.get_or_insert_default();
        *http += keys;
        http.push('\n');
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses the state of an earlier process.
    #[must_use]
    pub fn directory(mut self, directory: Arc<TempDir>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Serves metrics at this address instead of a free port.
    #[must_use]
    pub fn metrics_address(mut self, address: SocketAddr) -> Self {
        self.metrics_address = Some(address);
        self
    }

    /// Adds keys to the table `[metrics]`.
    #[must_use]
    pub fn metrics(mut self, keys: &str) -> Self {
        self.metrics += keys;
        self
    }

    /// Has these keys in the table `[control]`, where `SOCKET` stands for the one in its own directory that it listens at
    /// without this.
    #[must_use]
    pub fn control(mut self, keys: &str) -> Self {
        self.control = Some(keys.to_owned());
        self
    }

    /// Starts this program instead of the one under test.
    #[must_use]
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Starts it by way of a program that becomes it, such as `prlimit --fsize=0`.
    #[must_use]
    pub fn through(mut self, program: &[&str]) -> Self {
        self.through = program.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Starts it and waits until it says that it is ready.
    #[must_use]
    pub fn ready(self) -> Riptide {
        let mut riptide = self.spawn();
        riptide.wait_ready();
        riptide
    }

    /// The command that starts it, without standard error, and its directory, which lives at least as long.
    #[must_use]
    pub fn command(self) -> (Command, Arc<TempDir>) {
        let directory = self.directory.unwrap_or_else(|| Arc::new(directory()));
        let config = directory.path().join("riptide.toml");
        let state = directory.path().join("state");
        std::fs::create_dir_all(&state).expect("a state directory");
        let metrics = self.metrics_address.unwrap_or_else(|| "127.0.0.1:0".parse().expect("an address"));
        let socket = directory.path().join(CONTROL_SOCKET).display().to_string();
        let control = self.control.unwrap_or_else(|| "listen = \"SOCKET\"".to_owned());
        let control = control.replace("SOCKET", &socket);
        let text = format!(
            "[state]\ndirectory = {:?}\n[metrics]\nlisten = \"{metrics}\"\n{}\n[control]\n{control}\n[http]\n{}\n{}",
            state.display().to_string(),
            self.metrics,
            self.http.as_deref().unwrap_or("listen = []"),
            self.config
        );
        std::fs::write(&config, text).expect("a configuration file");
        let riptide = self.program.unwrap_or_else(binary);
        let mut words = self.through.into_iter().chain([riptide.to_string_lossy().into_owned()]);
        let program = words.next().unwrap_or_default();
        let mut command = clean(match self.namespace {
            Some(namespace) => namespace.command(&program),
            None => Command::new(&program),
        });
        command.args(words).arg("run").arg("--config").arg(&config).args(&self.arguments);
        command.envs(self.environment).stdout(Stdio::null());
        (command, directory)
    }

    /// Starts it without waiting.
    #[must_use]
    pub fn spawn(self) -> Riptide {
        let inside = self.namespace.map(|n| n.name().to_owned());
        let (mut command, directory) = self.command();
        let mut child =
            command.stderr(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("to start {command:?}: {e}"));
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("a pipe");
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    log.push(Some(line));
                }
                log.push(None);
            }
        });
        Riptide {
            child,
            log,
            reader: Some(reader),
            directory,
            udp: Vec::new(),
            http: Vec::new(),
            https: Vec::new(),
            unix: Vec::new(),
            metrics: None,
            inside,
        }
    }
}

/// The control socket, in a tracker's own directory.
const CONTROL_SOCKET: &str = "control.sock";

/// A directory that a process without privileges can enter.
fn directory() -> TempDir {
    let directory = TempDir::with_prefix("riptide-test-").expect("a temporary directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("its owner");
    directory
}

#[derive(Default)]
struct Log {
    // The lines so far, and whether the last one has been read.
    lines: Mutex<(Vec<String>, bool)>,
    news: Condvar,
}

impl Log {
    fn push(&self, line: Option<String>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match line {
            Some(line) => lines.0.push(line),
            None => lines.1 = true,
        }
        self.news.notify_all();
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).0.join("\n")
    }
}

/// A running daemon. Killed when dropped.
pub struct Riptide {
    child: Child,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
    directory: Arc<TempDir>,
    udp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    unix: Vec<PathBuf>,
    metrics: Option<SocketAddr>,
    inside: Option<String>,
}

impl Riptide {
    /// Waits for the line that says `ready`, and reads the bound addresses from the lines before it.
    pub fn wait_ready(&mut self) {
        self.wait_for_line("the word ready", is_ready);
        for line in self.lines() {
            match listener(&line) {
                Some(Listener::Udp(address)) => self.udp.push(address),
                Some(Listener::Http(address)) => self.http.push(address),
                Some(Listener::Https(address)) => self.https.push(address),
                Some(Listener::Unix(path)) => self.unix.push(path),
                Some(Listener::Metrics(address)) => self.metrics = Some(address),
                None => {}
            }
        }
    }

    /// The UDP addresses that it is bound to, as it told.
    #[must_use]
    pub fn udp(&self) -> &[SocketAddr] {
        &self.udp
    }

    /// The one UDP port of a family.
    #[must_use]
    pub fn udp_port(&self, ipv6: bool) -> u16 {
        let found = self.udp.iter().find(|a| a.is_ipv6() == ipv6);
        found.unwrap_or_else(|| panic!("no UDP listener was told of:\n{}", self.log_text())).port()
    }

    /// The TCP addresses where it serves plain HTTP and WebSocket, as it told.
    #[must_use]
    pub fn http(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The TCP addresses where it serves both over TLS, as it told.
    #[must_use]
    pub fn https(&self) -> &[SocketAddr] {
        &self.https
    }

    /// The Unix sockets where it serves both, as it told.
    #[must_use]
    pub fn unix(&self) -> &[PathBuf] {
        &self.unix
    }

    /// Where it serves metrics.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics.unwrap_or_else(|| panic!("no metrics listener was told of:\n{}", self.log_text()))
    }

    /// Its control socket, where [`Start::control`] said nothing else.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.directory.path().join(CONTROL_SOCKET)
    }

    /// Runs `riptide control ARGUMENTS`, divided by white space, against it.
    #[must_use]
    pub fn control(&self, arguments: &str) -> Output {
        let socket = self.control_socket().display().to_string();
        let arguments = arguments.split_whitespace();
        command(&["control", "--socket", &socket].into_iter().chain(arguments).collect::<Vec<_>>())
    }

    /// Scrapes its metrics, from within its namespace.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let address = self.metrics_address();
        match &self.inside {
            None => Metrics::get(address),
            Some(name) => {
                let handle = std::fs::File::open(Path::new("/run/netns").join(name)).expect("its namespace");
                std::thread::scope(|scope| {
                    let inside = scope.spawn(move || {
                        nix::sched::setns(&handle, nix::sched::CloneFlags::CLONE_NEWNET)
                            .expect("to enter the namespace");
                        Metrics::get(address)
                    });
                    inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            }
        }
    }

    /// Asks the metrics again until they are as they should be, since a worker may count after it answered.
    pub fn metrics_until(&self, awaited: &str, mut good: impl FnMut(&Metrics) -> bool) -> Metrics {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics();
            if good(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < deadline, "metrics never showed {awaited}:\n{}", metrics.text);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Its process ID.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process ID"))
    }

    /// One value of each thread, read from its directory in `/proc`.
    pub fn threads<T>(&self, file: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let tasks = Path::new("/proc").join(self.pid().to_string()).join("task");
        let tasks = std::fs::read_dir(tasks).expect("the process").flatten();
        let values = tasks.map(|task| {
            let text = std::fs::read_to_string(task.path().join(file)).expect("a thread");
            read(&text).unwrap_or_else(|| panic!("not what was expected of {file}: {text}"))
        });
        values.collect()
    }

    /// Processor time of all threads so far, nanoseconds.
    #[must_use]
    pub fn processor_time(&self) -> u64 {
        self.threads("schedstat", |text| text.split_whitespace().next()?.parse::<u64>().ok()).iter().sum()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|e| panic!("{signal}: {e}\n{}", self.log_text()));
    }

    /// The state directory and configuration, for a process that comes after.
    #[must_use]
    pub fn directory(&self) -> Arc<TempDir> {
        Arc::clone(&self.directory)
    }

    /// The lines on standard error so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// The same as one text.
    #[must_use]
    pub fn log_text(&self) -> String {
        self.log.text()
    }

    /// Waits for a line on standard error, past or coming.
    pub fn wait_for_line(&self, awaited: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.0.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!lines.1, "riptide ended without {awaited}:\n{}", lines.0.join("\n"));
            assert!(!left.is_zero(), "riptide never said {awaited}:\n{}", lines.0.join("\n"));
            lines = self.log.news.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Whether it has said that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lines().iter().any(|line| is_ready(line))
    }

    /// Waits until it ends by itself, though others may go on writing where it wrote.
    pub fn wait_alone(&mut self) -> ExitStatus {
        crate::eventually("riptide to end", || self.child.try_wait().expect("a child"))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let status = crate::eventually("riptide to end", || self.child.try_wait().expect("a child"));
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        status
    }

    /// Stops it as an operator does and checks that it ends well.
    pub fn stop(mut self) -> Arc<TempDir> {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "signal {:?}:\n{}", status.signal(), self.log_text());
        self.directory()
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }
}

impl Drop for Riptide {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("--- riptide said\n{}\n---\n", self.log_text()),
            );
        }
    }
}

fn is_ready(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_ready_is_a_word() {
        assert!(is_ready("INFO riptide: ready"));
        assert!(is_ready("INFO ready, 4 workers"));
        assert!(!is_ready("INFO already there"));
    }
}
