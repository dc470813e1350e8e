//! Puts off an interface's interrupts, so that a worker that is awake fetches the next frames itself.
//!
//! The kernel has two numbers for that, which belong to the interface: how often polling may come back empty before
//! interrupts are on again, and how long nothing may be polled before the kernel does it (its
//! `Documentation/networking/napi.rst`, "Software IRQ coalescing").

use super::network::Link;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long AF_XDP sockets may go without polling. A worker takes nearly as long for a batch of announces, and is
/// interrupted in each if it takes longer. Connects have no worker that polls: so long they wait in the device's ring,
/// and the 256 slots of a veth hold 2 million a second of them.
pub const PATIENCE: Duration = Duration::from_micros(125);
/// Where the kernel shows the interfaces of a network namespace.
pub const INTERFACES: &str = "/sys/class/net";
const NUMBERS: [&str; 2] = ["napi_defer_hard_irqs", "gro_flush_timeout"];
/// Polls without a frame before interrupts are on again.
const EMPTY_POLLS: &str = "2";
const NEVER: &str = "0";

/// Interrupts are put off. What was set for that is set back when this is dropped, unless somebody has changed it.
#[derive(Debug)]
pub struct Deferral {
    /// The interface's directory, if it was us who set the numbers.
    ours: Option<PathBuf>,
    values: [String; 2],
}

impl Deferral {
    /// Sets the numbers of an interface that has none; others are the operator's and stay. `interfaces` is
    /// [`INTERFACES`]. If nothing has been polled for `patience`, the kernel does it.
    ///
    /// # Errors
    /// When they cannot be set, only one of them is, or `interfaces` shows those of another network namespace.
    pub fn begin(interfaces: &Path, link: &Link, patience: Duration) -> io::Result<Self> {
        let values = [EMPTY_POLLS.to_owned(), patience.as_nanos().to_string()];
        let directory = interfaces.join(&link.name);
        let index = read(&directory, "ifindex")?;
        if index != link.index.to_string() {
            let why = format!("{} shows another network namespace", interfaces.display());
            return Err(io::Error::other(why));
        }
        let mut zeroes = 0;
        for name in NUMBERS {
            zeroes += usize::from(read(&directory, name)? == NEVER);
        }
        match zeroes {
            0 => return Ok(Self { ours: None, values }),
            2 => {}
            _ => return Err(io::Error::other("of napi_defer_hard_irqs and gro_flush_timeout one is 0")),
        }
        // Dropped, it sets back what has been set so far.
        let deferral = Self { ours: Some(directory.clone()), values };
        for (name, value) in NUMBERS.iter().zip(&deferral.values) {
            write(&directory, name, value)?;
        }
        Ok(deferral)
    }
}

impl Drop for Deferral {
    fn drop(&mut self) {
        let Some(directory) = &self.ours else { return };
        for (name, value) in NUMBERS.iter().zip(&self.values) {
            if read(directory, name).is_ok_and(|now| now == *value)
                && let Err(error) = write(directory, name, NEVER)
            {
                tracing::debug!(%error, "a number of the interface stays as it was set for polling");
            }
        }
    }
}

fn read(directory: &Path, name: &str) -> io::Result<String> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) => Err(named(&path, &error)),
    }
}

fn write(directory: &Path, name: &str, value: &str) -> io::Result<()> {
    let path = directory.join(name);
    fs::write(&path, value).map_err(|error| named(&path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_micros(70);

    /// What the kernel shows of an interface, number 7, in a directory of its own.
    fn interface(numbers: [&str; 2]) -> (tempfile::TempDir, Link) {
        let interfaces = tempfile::tempdir().unwrap();
        let directory = interfaces.path().join("eth0");
        fs::create_dir(&directory).unwrap();
        for (name, text) in [("ifindex", "7"), (NUMBERS[0], numbers[0]), (NUMBERS[1], numbers[1])] {
            fs::write(directory.join(name), format!("{text}\n")).unwrap();
        }
        (interfaces, Link { index: 7, name: "eth0".to_owned(), ..Link::default() })
    }

    fn numbers(interfaces: &tempfile::TempDir) -> [String; 2] {
        NUMBERS.map(|name| read(&interfaces.path().join("eth0"), name).unwrap())
    }

    #[test]
    fn numbers_that_nobody_set_are_set_and_set_back() {
        let (interfaces, link) = interface(["0", "0"]);
        let deferral = Deferral::begin(interfaces.path(), &link, PATIENCE).unwrap();
        assert_eq!(numbers(&interfaces), ["2", "70000"]);
        drop(deferral);
        assert_eq!(numbers(&interfaces), ["0", "0"]);
    }

    #[test]
    fn an_operators_numbers_stay() {
        let (interfaces, link) = interface(["100", "20000"]);
        drop(Deferral::begin(interfaces.path(), &link, PATIENCE).unwrap());
        assert_eq!(numbers(&interfaces), ["100", "20000"]);

        let (interfaces, link) = interface(["0", "0"]);
        let deferral = Deferral::begin(interfaces.path(), &link, PATIENCE).unwrap();
        write(&interfaces.path().join("eth0"), "gro_flush_timeout", "7").unwrap();
        drop(deferral);
        assert_eq!(numbers(&interfaces), ["0", "7"], "changed meanwhile");
    }

    #[test]
    fn what_does_not_put_interrupts_off_is_an_error_and_stays() {
        let (interfaces, link) = interface(["0", "20000"]);
        let error = Deferral::begin(interfaces.path(), &link, PATIENCE).unwrap_err();
        assert!(error.to_string().contains("one is 0"), "{error}");
        assert_eq!(numbers(&interfaces), ["0", "20000"]);
    }

    #[test]
    fn an_interface_of_the_same_name_elsewhere_is_left_alone() {
        let (interfaces, link) = interface(["0", "0"]);
        let error =
            Deferral::begin(interfaces.path(), &Link { index: 8, ..link.clone() }, PATIENCE).unwrap_err();
        assert!(error.to_string().contains("another network namespace"), "{error}");
        let error = Deferral::begin(interfaces.path(), &Link { name: "eth1".to_owned(), ..link }, PATIENCE)
            .unwrap_err();
        assert!(error.to_string().contains("eth1/ifindex"), "{error}");
        assert_eq!(numbers(&interfaces), ["0", "0"]);
    }
}
