//! The configuration: flag over environment over file over default, into one typed and checked [`Config`].
//!
//! Raw text never leaves this module. Everything that is wrong is reported at once, each with key, place and reason.

mod checks;
mod declare;
mod document;
mod error;
pub mod from;
mod keys;
mod kinds;
mod layers;
mod loaded;
mod manual;
mod nats;
mod raw;
mod readers;
mod shared_kinds;
mod table;
mod units;
mod values;

pub use document::{default_file, reference};
pub use error::{ConfigError, ConfigErrors, Warning};
pub use keys::CONTROL_SOCKET;
pub use keys::{
    Access, Acme, Cluster, Config, Control, Http, Limits, Log, Metrics, Privileges, State, Swarm, Tls, Udp,
    Websocket, Xdp,
};
pub use loaded::Loaded;
pub use manual::manual;
pub(crate) use readers::is_directive;
pub use table::{Change, VARIABLE_PREFIX};
pub use units::parse_duration;
pub use values::{
    AccessMode, Apply, BusyPoll, ControlSocket, Listen, ListenAddress, LogFormat, NatsServer, Part, Place,
    TlsVersion, XdpMode, ZeroCopy,
};

use crate::cli::RunArgs;
use layers::Values;
use std::{ffi::OsString, fs::File, io::Read, path::Path};

/// The longest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

impl Config {
    /// Reads the configuration of `riptide run`: the flags, `environment` (see [`process_environment`]), the file that
    /// the flags name, the defaults.
    #[must_use]
    pub fn load(args: &RunArgs, environment: &[(OsString, OsString)]) -> Loaded {
        let tables = keys::tables();
        let mut values = Values::new();
        if let Some(path) = &args.config {
            read_file(&mut values, &tables, path);
        }
        values.add_environment(&tables, environment);
        values.add_list_flag("--udp", "udp", "listen", &args.udp);
        values.add_list_flag("--http", "http", "listen", &args.http);
        values.add_list_flag("--https", "tls", "listen", &args.https);
        values.add_list_flag("--interface", "xdp", "interfaces", &args.interface);
        let flags = [
            ("--workers", "udp", "workers", &args.workers),
            ("--xdp", "xdp", "mode", &args.xdp),
            ("--metrics", "metrics", "listen", &args.metrics),
            ("--log-format", "log", "format", &args.log_format),
        ];
        for (flag, table, key, text) in flags {
            if let Some(text) = text {
                values.add_flag(flag, table, key, text);
            }
        }
        finish(values)
    }

    /// Reads a configuration file alone, over the defaults.
    #[must_use]
    pub fn check_file(path: &Path) -> Loaded {
        let mut values = Values::new();
        read_file(&mut values, &keys::tables(), path);
        finish(values)
    }
}

#[cfg(test)]
impl Default for Config {
    /// The built-in defaults, for tests.
    fn default() -> Self {
        finish(Values::new()).whole().expect("the declared defaults are valid").0
    }
}

/// The environment of this process, as [`Config::load`] takes it.
#[must_use]
pub fn process_environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

fn finish(mut values: Values) -> Loaded {
    let mut config = Config::read(&mut values);
    if let Some(config) = &mut config {
        checks::fit_defaults(config, &values);
        checks::cross_check(config, &mut values);
    }
    Loaded::new(config, values)
}

fn read_file(values: &mut Values, tables: &[table::Table], path: &Path) {
    match bounded_text(path) {
        Ok(text) => values.add_file(tables, path, &text),
        Err(reason) => values.errors.push(ConfigError::Unreadable { path: path.to_owned(), reason }),
    }
}

/// Reads a text as if it stood in this file, alone over the defaults.
fn read_text(path: &Path, text: &str) -> Loaded {
    let mut values = Values::new();
    values.add_file(&keys::tables(), path, text);
    finish(values)
}

fn bounded_text(path: &Path) -> Result<String, String> {
    let bytes = bounded_bytes(path)?;
    String::from_utf8(bytes).map_err(|e| format!("it is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

fn bounded_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("it is longer than {}", units::size(MAX_FILE)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
