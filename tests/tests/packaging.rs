//! What `packaging/` holds: it can be read by whoever is to read it, and its parts name each other rightly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tests::{net::workspace, riptide};

fn packaging() -> PathBuf {
    workspace().join("packaging")
}

/// A file of YAML, by another parser.
fn yaml(path: &Path) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new("/usr/bin/python3").args(["-c", script]).arg(path).output().expect("Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", path.display());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// All files below a directory.
fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

fn compose(name: &str) -> Value {
    yaml(&packaging().join("container").join(name))
}

/// What a service mounts: where from, and where to.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let volumes = service["volumes"].as_array().expect("volumes");
    let words = volumes.iter().map(|volume| volume.as_str().expect("a line"));
    words
        .map(|line| line.split_once(':').expect("two paths"))
        .map(|(from, to)| (from.into(), to.into()))
        .collect()
}

#[test]
fn every_file_of_yaml_can_be_read() {
    let files: Vec<_> =
        below(&packaging()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "yml")).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        assert!(yaml(&file).is_object(), "{}", file.display());
    }
}

#[test]
fn what_the_containers_mount_exists() {
    let services = compose("compose.yml")["services"].as_object().expect("services").clone();
    assert_eq!(services.len(), 3);
    let mut found = 0;
    for service in services.values() {
        for (from, _) in mounts(service).iter().filter(|(from, _)| from.starts_with('.')) {
            let path = packaging().join("container").join(from);
            assert!(path.exists(), "{from}");
            found += 1;
        }
    }
    assert!(found >= 4);
}

#[test]
fn prometheus_and_grafana_find_what_they_are_to_read() {
    let services = &compose("compose.yml")["services"];
    let (prometheus, grafana) = (&services["prometheus"], &services["grafana"]);
    let has = |service: &Value, place: &str| {
        let place = place.to_owned();
        mounts(service).iter().any(|(_, to)| *to == place || *to == format!("{place}:ro"))
    };
    let configuration = yaml(&packaging().join("prometheus/prometheus.yml"));
    for rules in configuration["rule_files"].as_array().expect("rules") {
        assert!(has(prometheus, rules.as_str().unwrap()), "{rules}");
    }
    let target = &configuration["scrape_configs"][0]["static_configs"][0]["targets"][0];
    let defaults = riptide::command(&["config", "default"]);
    let defaults = String::from_utf8_lossy(&defaults.stdout).into_owned();
    let (_, metrics) = defaults.split_once("\n[metrics]\n").expect("a table");
    let listen = format!("\nlisten = {target}\n");
    assert!(metrics.contains(&listen), "the tracker serves no metrics at {target}");

    let source = &yaml(&packaging().join("grafana/provisioning/datasources/riptide.yml"))["datasources"][0];
    let listen = prometheus["command"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|word| word.as_str()?.strip_prefix("--web.listen-address="));
    assert_eq!(source["url"].as_str().unwrap(), format!("http://{}", listen.expect("an address")));
    let provider = &yaml(&packaging().join("grafana/provisioning/dashboards/riptide.yml"))["providers"][0];
    let directory = provider["options"]["path"].as_str().unwrap();
    assert!(has(grafana, &format!("{directory}/riptide.json")));
}

/// Beyond what the README lists for the fast path, it takes what giving up root does.
#[test]
fn the_capabilities_of_the_fast_path_are_the_units() {
    let unit = std::fs::read_to_string(packaging().join("riptide.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).unwrap();
    let mut units: Vec<&str> = line.split(' ').map(|name| name.trim_start_matches("CAP_")).collect();
    units.retain(|name| *name != "NET_BIND_SERVICE");
    units.extend(["CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID", "SETPCAP"]);
    units.sort_unstable();
    let service = &compose("compose.xdp.yml")["services"]["riptide"];
    let mut containers: Vec<&str> =
        service["cap_add"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    containers.sort_unstable();
    assert_eq!(containers, units);
}

#[test]
fn systemd_takes_the_unit_and_the_user() {
    let unit = packaging().join("riptide.service");
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit).output();
    let output = output.expect("systemd-analyze; `cargo xtask test` installs it");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // The program need not be installed here.
    let complaints: Vec<_> =
        said.lines().filter(|line| !line.contains("/usr/bin/riptide is not executable")).collect();
    assert!(complaints.is_empty(), "{said}");

    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    let output = Command::new("systemd-sysusers")
        .arg(format!("--root={}", root.path().display()))
        .arg(packaging().join("sysusers.d/riptide.conf"))
        .output()
        .expect("systemd-sysusers");
    assert!(output.status.success(), "{output:?}");
    let users = std::fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    assert!(users.contains(":/var/lib/riptide:/usr/sbin/nologin"), "{users}");
}
