//! Loads the XDP program, attaches it, and writes and reads its maps.

use super::{
    arrivals::Arrivals,
    barred::Barred,
    link::{Mode, ProgramLink, await_frames},
};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, XskMap},
    programs::{ProgramError, TestRunOptions, Xdp},
};
use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd as _, OwnedFd, RawFd},
};
use tracker_common::{
    address::Family,
    maps::{self, Counter, Destination, Rates, Settings, Tally},
    rate::Kind,
    siphash::Key,
};
use tracker_core::banned::Banned;

mod error;

pub use error::Error;
use error::chain;

/// The object file, if it had been built when this binary was.
#[cfg(xdp_program)]
const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(env!("RIPTIDE_XDP_PROGRAM")));
/// The object file, if it had been built when this binary was.
#[cfg(not(xdp_program))]
const OBJECT: Option<&[u8]> = None;

/// Whether this binary carries the XDP program.
#[must_use]
pub const fn is_built_in() -> bool {
    OBJECT.is_some()
}

/// What must be known before loading.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Entries of the socket map: receive queues of the interface.
    pub queues: u32,
    /// Whether the program logs rare events.
    pub log: bool,
}

/// A loaded program, its maps, and at most one attachment. Dropping it detaches.
pub struct Program {
    ebpf: Ebpf,
    link: Option<(ProgramLink, Mode)>,
    settings: Array<MapData, [u8; size_of::<Settings>()]>,
    keys: Array<MapData, [u8; 16]>,
    rates: Array<MapData, [u8; size_of::<Rates>()]>,
    destinations: HashMap<MapData, [u8; size_of::<Destination>()], u8>,
    sockets: XskMap<MapData>,
    barred: Barred,
    present: HashSet<Destination>,
    current: Settings,
    /// The keys in both places, once they are written.
    current_keys: Option<[Key; 2]>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("link", &self.link)
            .field("settings", &self.current)
            .finish_non_exhaustive()
    }
}

/// The program's counters, readable while another thread owns the program.
pub struct Counters(PerCpuArray<MapData, [u8; size_of::<Tally>()]>);

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

impl Counters {
    /// The sum over all CPUs of one counter.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn read(&self, counter: Counter, family: Family) -> Result<Tally, MapError> {
        let values = self.0.get(&counter.index(family), 0)?;
        Ok(values.iter().fold(Tally::default(), |sum, bytes| {
            let tally: Tally = bytemuck::cast(*bytes);
            Tally {
                frames: sum.frames + tally.frames,
                payload_bytes: sum.payload_bytes + tally.payload_bytes,
            }
        }))
    }
}

impl Program {
    /// Loads the program, switched off and with empty maps. Returns its counters apart, for the metrics, and the counts of
    /// what came to each queue.
    ///
    /// # Errors
    /// When the binary does not carry it, or the kernel refuses it.
    pub fn load(options: LoadOptions) -> Result<(Self, Counters, Arrivals), Error> {
        let object = OBJECT.ok_or(Error::NotBuiltIn)?;
        check_kernel(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())?;
        let log = u8::from(options.log);
        let mut ebpf = EbpfLoader::new()
            .override_global(maps::LOG, &log, true)
            .map_max_entries(maps::SOCKETS, options.queues.max(1))
            .load(object)
            .map_err(|error| Error::Load(chain(&error)))?;
        let program = xdp_program(&mut ebpf, maps::PROGRAM)?;
        program.load().map_err(|error| Error::Load(chain(&error)))?;
        let mut take = |name: &'static str| {
            ebpf.take_map(name).ok_or_else(|| Error::Load(format!("the object has no map {name}")))
        };
        let settings = Array::try_from(take(maps::SETTINGS)?)?;
        let keys = Array::try_from(take(maps::KEYS)?)?;
        let rates = Array::try_from(take(maps::RATES)?)?;
        let destinations = HashMap::try_from(take(maps::DESTINATIONS)?)?;
        let sockets = XskMap::try_from(take(maps::SOCKETS)?)?;
        let mut trie = |name| {
            let Map::LpmTrie(trie) = take(name)? else {
                return Err(Error::Load(format!("the object's map {name} is no trie")));
            };
            trie.fd()
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| Error::Load(format!("the map {name}: {error}")))
        };
        let barred = Barred::new(trie(maps::BANNED4)?, trie(maps::BANNED6)?);
        let counters = Counters(PerCpuArray::try_from(take(maps::COUNTERS)?)?);
        let Map::Array(arrivals) = take(maps::ARRIVALS)? else {
            return Err(Error::Load(format!("the object's map {} is no array", maps::ARRIVALS)));
        };
        let arrivals = Arrivals::map(arrivals.fd().as_fd())
            .map_err(|error| Error::Load(format!("the map {} cannot be read: {error}", maps::ARRIVALS)))?;
        let current = bytemuck::Zeroable::zeroed();
        let program = Self {
            ebpf,
            link: None,
            settings,
            keys,
            rates,
            destinations,
            sockets,
            barred,
            present: HashSet::new(),
            current,
            current_keys: None,
        };
        Ok((program, counters, arrivals))
    }

    /// Attaches to an interface, by a link that the kernel removes when this process is gone.
    ///
    /// # Errors
    /// When the driver has no such mode, another program is there, or rights are missing.
    pub fn attach(&mut self, interface_index: u32, mode: Mode) -> Result<(), Error> {
        self.detach();
        let program = xdp_program(&mut self.ebpf, maps::PROGRAM)?;
        let fd = program.fd().map_err(|error| Error::Load(chain(&error)))?;
        // Made here, since aya falls back to an attachment without a link, which would outlive a crash.
        let link = ProgramLink::new(fd.as_fd(), interface_index, mode)
            .map_err(|error| Error::not_attached(&error, mode))?;
        self.link = Some((link, mode));
        Ok(())
    }

    /// Takes the place of the program on a link that another process has made, in one step.
    ///
    /// # Errors
    /// When the interface is gone, or the link was detached.
    pub fn take_place(&mut self, link: ProgramLink, mode: Mode) -> Result<(), Error> {
        self.link = Some((link, mode));
        self.retake_place()
    }

    /// Takes its place on its link again, which another process's program may have.
    ///
    /// # Errors
    /// When the interface is gone, or the link was detached. It is let go of then.
    pub fn retake_place(&mut self) -> Result<(), Error> {
        let program = xdp_program(&mut self.ebpf, maps::PROGRAM)?;
        let fd = program.fd().map_err(|error| Error::Load(chain(&error)))?;
        let Some((link, _)) = &self.link else { return Ok(()) };
        link.replace(fd.as_fd()).map_err(|error| {
            self.link = None;
            Error::Replace(error)
        })
    }

    /// A further descriptor of the link, for another process, if it is attached.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn share_link(&self) -> io::Result<Option<(OwnedFd, Mode)>> {
        self.link.as_ref().map(|(link, mode)| Ok((link.share()?, *mode))).transpose()
    }

    /// Detaches, if attached: the kernel does so when the link is closed. The loaded program stays.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// The mode of the attachment, if there is one.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.link.as_ref().map(|(_, mode)| *mode)
    }

    /// The kernel's number for the loaded program, as `ip link` shows it.
    #[must_use]
    pub fn id(&mut self) -> Option<u32> {
        Some(xdp_program(&mut self.ebpf, maps::PROGRAM).ok()?.info().ok()?.id())
    }

    /// Writes the settings.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_settings(&mut self, settings: Settings) -> Result<(), Error> {
        self.settings.set(0, bytemuck::cast::<_, [u8; size_of::<Settings>()]>(settings), 0)?;
        self.current = settings;
        Ok(())
    }

    /// The settings as last written.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.current
    }

    /// Writes both key places. As time goes on one of the two stays, and the other's is not in use. Where neither stays, both
    /// may be in use: every frame passes meanwhile, for some ten milliseconds.
    ///
    /// # Errors
    /// When the kernel refuses. The program may then be switched off: with parts of other keys in place, it has to be
    /// until they are written.
    pub fn set_keys(&mut self, keys: [Key; 2]) -> Result<(), Error> {
        let Some([one, other]) = self.current_keys else { return self.write_keys(keys) };
        if [one, other] == keys {
            return Ok(());
        }
        if one == keys[0] || other == keys[1] {
            return self.write_keys(keys);
        }
        // A key is two words, and a processor could read one of each. So none reads any until both are there and what was
        // prepared with others is void.
        let enabled = self.current.enabled;
        self.set_settings(Settings { enabled: 0, ..self.current })?;
        await_frames();
        self.current_keys = None;
        self.write_keys(keys)?;
        await_frames();
        self.set_settings(Settings { enabled, ..self.current })
    }

    fn write_keys(&mut self, keys: [Key; 2]) -> Result<(), Error> {
        for (index, key) in (0..).zip(keys) {
            self.keys.set(index, key.to_bytes(), 0)?;
        }
        // Afterwards, so that nothing prepared with a key from before is taken for one of now.
        let key_changes = self.current.key_changes.wrapping_add(1);
        self.set_settings(Settings { key_changes, ..self.current })?;
        self.current_keys = Some(keys);
        Ok(())
    }

    /// Writes how often client networks may ask, and switches limits on or off with it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_rates(&mut self, rates: Rates) -> Result<(), Error> {
        self.rates.set(0, bytemuck::cast::<_, [u8; size_of::<Rates>()]>(rates), 0)?;
        let limited = Kind::ALL.into_iter().zip(rates.rates).filter(|(_, rate)| !rate.is_none());
        let limited = limited.fold(0, |set, (kind, _)| set | kind.bit());
        self.set_settings(Settings { limited, ..self.current })
    }

    /// Makes the destination map hold exactly these, touching only what changes. Returns how many were added and
    /// removed.
    ///
    /// # Errors
    /// When the kernel refuses, as it does beyond [`maps::MAX_DESTINATIONS`].
    pub fn set_destinations(&mut self, wanted: &HashSet<Destination>) -> Result<(usize, usize), Error> {
        let gone: Vec<_> = self.present.difference(wanted).copied().collect();
        let removed = gone.iter().try_for_each(|destination| self.remove(destination));
        if !gone.is_empty() {
            let removals = self.current.removals.wrapping_add(1);
            self.set_settings(Settings { removals, ..self.current })?;
        }
        removed?;
        let new: Vec<_> = wanted.difference(&self.present).copied().collect();
        for destination in &new {
            self.destinations.insert(
                bytemuck::cast::<_, [u8; size_of::<Destination>()]>(*destination),
                1,
                0,
            )?;
            self.present.insert(*destination);
        }
        Ok((new.len(), gone.len()))
    }

    fn remove(&mut self, destination: &Destination) -> Result<(), Error> {
        match self.destinations.remove(&bytemuck::cast(*destination)) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error.into()),
        }
        self.present.remove(destination);
        Ok(())
    }

    /// Has the program drop what comes from these networks, and from no others, touching only what changes. Returns how many
    /// were added and removed.
    ///
    /// # Errors
    /// When the kernel has no memory for them. What was dropped before is then.
    pub fn set_banned(&mut self, wanted: &Banned) -> Result<(usize, usize), Error> {
        let changed = self.barred.set(wanted).map_err(Error::Ban)?;
        let bit = |family| if self.barred.len_of(family) > 0 { Settings::family_bit(family) } else { 0 };
        let banned = Family::ALL.into_iter().map(bit).sum();
        if banned != self.current.banned {
            self.set_settings(Settings { banned, ..self.current })?;
        }
        Ok(changed)
    }

    /// Puts an AF_XDP socket into the map.
    ///
    /// # Errors
    /// When the kernel refuses, or the queue is beyond [`LoadOptions::queues`].
    pub fn set_socket(&mut self, queue: u32, fd: RawFd) -> Result<(), Error> {
        Ok(self.sockets.set(queue, fd, 0)?)
    }

    /// Takes a socket out of the map, if there is one.
    pub fn unset_socket(&mut self, queue: u32) {
        if let Err(error) = self.sockets.unset(queue) {
            tracing::debug!(queue, error = chain(&error), "taking an AF_XDP socket out of the map");
        }
    }

    /// The object, for the reader of the program's log.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Runs the program once over a frame in the kernel, attached or not, and returns its XDP action and the frame
    /// as it left it.
    ///
    /// # Errors
    /// When the kernel refuses, as it does below 14 bytes.
    pub fn test_run(&mut self, frame: &[u8]) -> Result<(u32, Vec<u8>), Error> {
        let mut out = vec![0; frame.len() + 256];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..TestRunOptions::new() };
        let result = self.run(options)?;
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value, out))
    }

    /// Runs the program `repeat` times over a frame and returns the mean time of a run.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn test_run_duration(&mut self, frame: &[u8], repeat: u32) -> Result<std::time::Duration, Error> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        Ok(self.run(options)?.duration)
    }

    fn run(&mut self, options: TestRunOptions<'_>) -> Result<aya::programs::TestRunResult, Error> {
        use aya::programs::TestRun as _;
        xdp_program(&mut self.ebpf, maps::PROGRAM)?
            .test_run(options)
            .map_err(|error| Error::Load(chain(&error)))
    }
}

/// The kernel whose helpers the program calls: `bpf_ktime_get_coarse_ns` is the youngest.
const KERNEL_FLOOR: (u32, u32) = (5, 11);

fn check_kernel(release: &str) -> Result<(), Error> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < KERNEL_FLOOR => {
            Err(Error::OldKernel(release.trim().to_owned()))
        }
        // A release that cannot be read is left to the verifier.
        _ => Ok(()),
    }
}

fn xdp_program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, Error> {
    let program =
        ebpf.program_mut(name).ok_or_else(|| Error::Load(format!("the object has no program {name}")))?;
    program.try_into().map_err(|error: ProgramError| Error::Load(chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_floor_is_5_11() {
        for old in ["5.10.0-21-amd64\n", "4.19.0", "5.4.0-generic"] {
            assert!(matches!(check_kernel(old), Err(Error::OldKernel(_))), "{old}");
        }
        for new in ["5.11.0", "6.1.0-18-amd64\n", "6.18.44-fc-v657", "10.0", "", "unknown"] {
            assert!(check_kernel(new).is_ok(), "{new}");
        }
    }
}
