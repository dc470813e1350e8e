//! `riptide config`: `default`, `check FILE` and `from TRACKER FILE`.

use crate::{
    cli::{ConfigCommand, FromCommand},
    config::{
        Config, ControlSocket, ListenAddress, default_file,
        from::{self, Program, Tracker},
    },
    exit::{Exit, print, warn},
    material::Material,
};
use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
};

/// Does what the command asks and says how it ended: wrong configuration is [`Exit::Usage`].
#[must_use]
pub fn run(command: &ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Default => print(&default_file()),
        ConfigCommand::Check { file } => check(file),
        ConfigCommand::From(FromCommand::Opentracker { file }) => convert(Tracker::Opentracker, file),
        ConfigCommand::From(FromCommand::Aquatic { program, file }) => {
            convert(Tracker::Aquatic(program.as_deref().and_then(Program::from_word)), file)
        }
    }
}

/// Prints what does the same as another tracker's file, and says on standard error what became of it.
fn convert(tracker: Tracker, file: &Path) -> Exit {
    let converted = match from::convert(tracker, file) {
        Ok(converted) => converted,
        Err(error) => return Exit::Usage.because(&error),
    };
    match print(&converted.toml) {
        Exit::Clean => {
            converted.warnings.iter().for_each(|warning| warn(warning));
            Exit::Clean.because(&converted.summary)
        }
        exit => exit,
    }
}

/// Finds what `riptide run` would refuse. What depends on who runs it, or on what the machine may yet be given, is a
/// warning.
fn check(file: &Path) -> Exit {
    let mut loaded = Config::check_file(file);
    for warning in &loaded.warnings {
        warn(warning);
    }
    if let Some(config) = &loaded.config {
        absent(config).iter().for_each(|warning| warn(warning));
        let (material, problems) = Material::gather(config);
        material.warnings.iter().for_each(|warning| warn(warning));
        for problem in problems {
            match problem.of_this_user {
                true => warn(&format!("{}.{}: {}", problem.table, problem.key, problem.reason)),
                false => loaded.wrong(problem.table, problem.key, problem.reason),
            }
        }
    }
    match loaded.errors.is_empty() {
        true => print(&format!("{}: no errors\n", file.display())),
        false => loaded.errors.iter().fold(Exit::Usage, |exit, error| exit.because(error)),
    }
}

/// What the configuration names and this machine does not have at the moment.
fn absent(config: &Config) -> Vec<String> {
    let Config { udp, http, tls, metrics, xdp, control, .. } = config;
    let mut warnings = Vec::new();
    let mut held = |key: &str, addresses: &[SocketAddr]| {
        for address in addresses.iter().filter(|address| !is_held(address.ip())) {
            warnings.push(format!(
                "{key}: {address}: no interface has this address now (`ip address` lists them)"
            ));
        }
    };
    if !udp.listen.is_default {
        held("udp.listen", &udp.listen.addresses);
    }
    if !http.listen.is_default {
        let tcp = http.listen.addresses.iter().filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        });
        held("http.listen", &tcp.collect::<Vec<_>>());
    }
    held("tls.listen", &tls.listen.addresses);
    held("metrics.listen", metrics.listen.as_slice());
    for address in &http.listen.addresses {
        if let ListenAddress::Unix(path) = address
            && !path.parent().is_some_and(Path::is_dir)
        {
            warnings.push(format!("http.listen: {address}: there is no such directory now"));
        }
    }
    if let Some(ControlSocket { path, is_default: false }) = &control.listen
        && !path.parent().is_some_and(Path::is_dir)
    {
        warnings.push(format!("control.listen: {}: there is no such directory now", path.display()));
    }
    for interface in &xdp.interfaces {
        if !Path::new("/sys/class/net").join(interface).exists() {
            warnings.push(format!(
                "xdp.interfaces: there is no interface `{interface}` now (`ip link` lists them)"
            ));
        }
    }
    warnings
}

/// Whether a socket can have this address; one of any port tells.
fn is_held(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        // Whatever else is wrong says nothing of the address.
        Err(error) => {
            error.kind() != io::ErrorKind::AddrNotAvailable
                && error.raw_os_error() != Some(libc::EAFNOSUPPORT)
        }
    }
}
