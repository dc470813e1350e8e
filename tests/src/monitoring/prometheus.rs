//! Prometheus' own programs.

use crate::{PATIENCE, eventually, net::workspace, web::http::escaped};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// From scrape to scrape.
const INTERVAL: &str = "250ms";
/// Over so long rates are taken: some scrapes.
const RANGE: &str = "2s";

/// One of its programs: where `cargo xtask test` has unpacked it, or on `PATH`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let unpacked = workspace().join("target/unpacked/usr/bin").join(name);
    if unpacked.is_file() { unpacked } else { name.into() }
}

/// Runs `promtool` in the folder of the rules, and gives what it said and whether it was content.
#[must_use]
pub fn promtool(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program("promtool"));
    command.args(arguments).current_dir(workspace().join("packaging/prometheus"));
    let output = command.output().unwrap_or_else(|e| panic!("promtool: {e}; `cargo xtask test` brings it"));
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), said)
}

/// An expression of the dashboard as Grafana asks it.
#[must_use]
pub fn with_variables(expression: &str) -> String {
    expression.replace("$__rate_interval", RANGE).replace("$__range", RANGE).replace("$instance", ".+")
}

/// A running Prometheus that scrapes one tracker. Ended when dropped.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Prometheus {
    /// Starts one beside a tracker with metrics at this address.
    #[must_use]
    pub fn beside(tracker: SocketAddr) -> Self {
        let directory = TempDir::with_prefix("riptide-prometheus-").expect("a directory");
        let place = |name: &str| directory.path().join(name);
        let config = format!(
            "global: {{scrape_interval: {INTERVAL}}}\nscrape_configs:\n  - job_name: riptide\n    static_configs: \
             [{{targets: [\"{tracker}\"]}}]\n"
        );
        fs::write(place("prometheus.yml"), config).expect("a file");
        let log = fs::File::create(place("log")).expect("a file");
        let mut command = Command::new(program("prometheus"));
        command
            .arg(format!("--config.file={}", place("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", place("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child =
            command.spawn().unwrap_or_else(|e| panic!("prometheus: {e}; `cargo xtask test` brings it"));
        // Dropped, and so ended, if it never says where it listens.
        let unspecified = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let mut prometheus = Self { child, address: unspecified, directory };
        prometheus.address = prometheus.wait_ready();
        prometheus
    }

    fn wait_ready(&mut self) -> SocketAddr {
        let log = self.directory.path().join("log");
        eventually("Prometheus to be ready", || {
            let said = fs::read_to_string(&log).expect("its log");
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "prometheus ended:\n{said}");
            // Before, it listens and answers that it is not available.
            said.contains("Server is ready").then(|| address(&said)).flatten()
        })
    }

    /// What an expression yields now: its series.
    ///
    /// # Errors
    /// What Prometheus says is wrong with it.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // The older version has no chunks, and the answer ends with the connection.
        let query = escaped(expression.as_bytes());
        write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n").expect("to ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        match &value["data"]["result"] {
            // A number that is no series is one all the same.
            Value::Array(series) if value["data"]["resultType"] == "vector" => Ok(series.clone()),
            Value::Array(_) => Ok(vec![value["data"]["result"].clone()]),
            _ => Err(text.to_owned()),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where it listens, as its log says.
fn address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("Listening on"))?;
    let (_, address) = line.split_once("address=")?;
    address.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_listens_is_in_its_log() {
        let log = "ts=1 level=info msg=\"Start listening for connections\" address=127.0.0.1:0\n\
                   ts=2 level=info msg=\"Listening on\" address=127.0.0.1:45678\n";
        assert_eq!(address(log), Some("127.0.0.1:45678".parse().unwrap()));
        assert_eq!(address("ts=1 msg=\"TSDB started\"\n"), None);
    }
}
