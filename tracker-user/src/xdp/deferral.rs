//! Puts off an interface's interrupts, so that frames gather, and a worker that is awake fetches the next ones itself.
//!
//! The kernel has two numbers for that, which belong to the interface: how often polling may come back empty before
//! interrupts are on again, and how long nothing may be polled before the kernel does it (its
//! `Documentation/networking/napi.rst`, "Software IRQ coalescing"). The second follows the rate of requests.

use super::{network::Link, queues::queue_length};
use parking_lot::Mutex;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long AF_XDP sockets may go without polling at least. A worker takes nearly as long for a batch of announces, and is
/// interrupted in each if it takes longer. Connects have no worker that polls: so long they wait in the device's ring,
/// and the 256 slots of a veth hold 2 million a second of them.
pub const PATIENCE: Duration = Duration::from_micros(125);
/// Where the kernel shows the interfaces of a network namespace.
pub const INTERFACES: &str = "/sys/class/net";
const DEFER_HARD_IRQS: &str = "napi_defer_hard_irqs";
const GRO_FLUSH_TIMEOUT: &str = "gro_flush_timeout";
/// Polls without a frame before interrupts are on again.
const EMPTY_POLLS: &str = "2";
const NEVER: &str = "0";
/// Our timeouts are whole microseconds and so many nanoseconds, which nobody else would set: that tells those of a process
/// that was killed from an operator's.
const OURS: u64 = 77;
const MICROSECOND: u64 = 1_000;
/// Who may wish for a patience: receive queues, or workers.
const WISHES: usize = tracker_common::maps::MAX_QUEUES as usize;

/// Interrupts are put off. What was set for that is set back when this is dropped, unless somebody has changed it.
#[derive(Debug)]
pub struct Deferral {
    /// The interface's directory.
    directory: PathBuf,
    /// If it was us who set the numbers.
    patience: Option<Arc<Patience>>,
}

/// How long nothing is polled on an interface before the kernel does it: as long as those who serve it let it be.
#[derive(Debug)]
pub struct Patience {
    /// The interface's directory, as long as interrupts are put off.
    directory: Mutex<Option<PathBuf>>,
    least: u64,
    room: u64,
    /// Nanoseconds that each may be kept waiting for; 0: it does not care.
    wishes: Box<[AtomicU64]>,
    /// What is set.
    now: AtomicU64,
}

impl Patience {
    /// Frames that a receive queue of the interface holds.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.room
    }

    /// Number `who` may be kept waiting for so many nanoseconds; with 0 it does not care. The shortest wish of all is set,
    /// but never less than the least; a longer one only once it is longer by a quarter.
    pub fn wish(&self, who: usize, nanoseconds: u64) {
        let Some(wish) = self.wishes.get(who) else { return };
        if wish.swap(nanoseconds, Ordering::SeqCst) == nanoseconds {
            return;
        }
        // Who sets it at this moment looks at all wishes once more afterwards, so nobody waits for anybody.
        while let Some(wanted) = self.wanted()
            && let Some(directory) = self.directory.try_lock()
        {
            let Some(directory) = &*directory else { return };
            if let Err(error) = write(directory, GRO_FLUSH_TIMEOUT, &wanted.to_string()) {
                tracing::trace!(%error, "setting gro_flush_timeout");
                return;
            }
            self.now.store(wanted, Ordering::SeqCst);
        }
    }

    /// What is to be set, if that differs enough from what is.
    fn wanted(&self) -> Option<u64> {
        let wishes = self.wishes.iter().map(|wish| wish.load(Ordering::SeqCst)).filter(|wish| *wish > 0);
        let (least, now) = (ours(self.least), self.now.load(Ordering::SeqCst));
        let wanted = ours(wishes.min().unwrap_or(0)).max(least);
        let is_worth_it = match wanted < now {
            true => wanted < now / 8 * 7 || wanted == least,
            false => wanted > now / 4 * 5,
        };
        is_worth_it.then_some(wanted)
    }
}

/// A timeout of so many nanoseconds that is known for ours.
const fn ours(nanoseconds: u64) -> u64 {
    nanoseconds / MICROSECOND * MICROSECOND + OURS
}

/// Whether numbers were set by a process like this one, which is no more.
fn is_left_behind(numbers: &[String; 2]) -> bool {
    let timeout = numbers[1].parse::<u64>().unwrap_or_default();
    numbers[0] == EMPTY_POLLS && timeout % MICROSECOND == OURS
}

impl Deferral {
    /// Sets the numbers of an interface that has none, or that a tracker has left behind that was killed; others are the
    /// operator's and stay. `interfaces` is [`INTERFACES`]. If nothing has been polled for `patience`, the kernel does it.
    ///
    /// # Errors
    /// When they cannot be set, only one of them is, or `interfaces` shows those of another network namespace.
    pub fn begin(interfaces: &Path, link: &Link, patience: Duration) -> io::Result<Self> {
        let directory = interfaces.join(&link.name);
        let index = read(&directory, "ifindex")?;
        if index != link.index.to_string() {
            let why = format!("{} shows another network namespace", interfaces.display());
            return Err(io::Error::other(why));
        }
        let numbers = [read(&directory, DEFER_HARD_IRQS)?, read(&directory, GRO_FLUSH_TIMEOUT)?];
        match numbers.iter().filter(|number| *number == NEVER).count() {
            2 => {}
            0 if is_left_behind(&numbers) => {}
            0 => return Ok(Self { directory, patience: None }),
            _ => return Err(io::Error::other("of napi_defer_hard_irqs and gro_flush_timeout one is 0")),
        }
        let least = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let patience = Arc::new(Patience {
            directory: Mutex::new(Some(directory.clone())),
            least,
            room: queue_length(&link.name).into(),
            wishes: (0..WISHES).map(|_| AtomicU64::new(0)).collect(),
            now: AtomicU64::new(ours(least)),
        });
        // Dropped, it sets back what has been set so far.
        let deferral = Self { directory, patience: Some(patience) };
        write(&deferral.directory, DEFER_HARD_IRQS, EMPTY_POLLS)?;
        write(&deferral.directory, GRO_FLUSH_TIMEOUT, &ours(least).to_string())?;
        Ok(deferral)
    }

    /// What sets how long nothing may be polled, unless an operator has.
    #[must_use]
    pub fn patience(&self) -> Option<&Arc<Patience>> {
        self.patience.as_ref()
    }
}

impl Drop for Deferral {
    fn drop(&mut self) {
        let Some(patience) = &self.patience else { return };
        // Whoever still wishes finds nothing to set.
        *patience.directory.lock() = None;
        let timeout = patience.now.load(Ordering::Relaxed).to_string();
        for (name, value) in [(DEFER_HARD_IRQS, EMPTY_POLLS), (GRO_FLUSH_TIMEOUT, &timeout)] {
            if read(&self.directory, name).is_ok_and(|now| now == *value)
                && let Err(error) = write(&self.directory, name, NEVER)
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
        for (name, text) in [("ifindex", "7"), (DEFER_HARD_IRQS, numbers[0]), (GRO_FLUSH_TIMEOUT, numbers[1])]
        {
            fs::write(directory.join(name), format!("{text}\n")).unwrap();
        }
        (interfaces, Link { index: 7, name: "eth0".to_owned(), ..Link::default() })
    }

    fn numbers(interfaces: &tempfile::TempDir) -> [String; 2] {
        [DEFER_HARD_IRQS, GRO_FLUSH_TIMEOUT].map(|name| read(&interfaces.path().join("eth0"), name).unwrap())
    }

    #[test]
    fn numbers_that_nobody_set_are_set_and_set_back() {
        let (interfaces, link) = interface(["0", "0"]);
        let deferral = Deferral::begin(interfaces.path(), &link, PATIENCE).unwrap();
        assert_eq!(numbers(&interfaces), ["2", "70077"]);
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
    fn numbers_that_a_killed_process_left_are_taken_over() {
        let (interfaces, link) = interface(["0", "0"]);
        std::mem::forget(Deferral::begin(interfaces.path(), &link, Duration::from_micros(900)).unwrap());
        let deferral = Deferral::begin(interfaces.path(), &link, PATIENCE).unwrap();
        assert_eq!(numbers(&interfaces), ["2", "70077"]);
        drop(deferral);
        assert_eq!(numbers(&interfaces), ["0", "0"]);
    }

    #[test]
    fn the_shortest_wish_is_set_and_nothing_outlives_the_deferral() {
        let (interfaces, link) = interface(["0", "0"]);
        let deferral = Deferral::begin(interfaces.path(), &link, PATIENCE).unwrap();
        let patience = deferral.patience().unwrap().clone();
        let set = |who, microseconds| {
            patience.wish(who, microseconds * MICROSECOND);
            numbers(&interfaces)[1].parse::<u64>().unwrap() / MICROSECOND
        };
        assert_eq!([set(0, 1000), set(1, 600), set(0, 0), set(0, 400)], [1000, 600, 600, 400]);
        // A little longer or shorter is not worth a system call; the least is what remains.
        assert_eq!([set(0, 390), set(0, 450), set(1, 0), set(0, 20), set(0, 0)], [400, 400, 400, 70, 70]);
        assert_eq!([set(WISHES, 1000), set(3, 800)], [70, 800]);
        drop(deferral);
        assert_eq!(numbers(&interfaces), ["0", "0"]);
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
