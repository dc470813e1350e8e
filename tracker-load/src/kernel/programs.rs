//! The two programs in the kernel: loading, attaching, their maps, and running the generator.

use crate::error::Error;
use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray},
    programs::{ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use nix::{
    errno::Errno,
    net::if_::if_nametoindex,
    sys::{
        pthread::{pthread_kill, pthread_self},
        signal::Signal,
    },
};
use std::{
    fmt, io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};
use tracker_common::load::{self, LATENCY_BUCKETS, Plan, Progress, Tally};

/// The object file, if it had been built when this binary was.
#[cfg(load_programs)]
const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(env!("RIPTIDE_LOAD_PROGRAMS")));
/// The object file, if it had been built when this binary was.
#[cfg(not(load_programs))]
const OBJECT: Option<&[u8]> = None;

/// Frames that the kernel makes, and hands on, at a time.
const BATCH: u32 = 64;
/// How often a generator that should end is told so, until it has.
const NUDGE: Duration = Duration::from_millis(2);
/// Where the kernel's `struct xdp_md` has the end of the data and the interface, bytes.
const XDP_MD: (usize, usize, usize) = (24, 4, 12);

/// What has been counted so far.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tallies: Vec<u64>,
    /// Replies by [`load::latency_bucket`], a sample.
    pub latencies: Vec<u64>,
}

impl Snapshot {
    /// One count.
    #[must_use]
    pub fn tally(&self, tally: Tally) -> u64 {
        self.tallies.get(tally as usize).copied().unwrap_or_default()
    }

    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = |now: &[u64], then: &[u64]| {
            now.iter().zip(then).map(|(now, then)| now.saturating_sub(*then)).collect()
        };
        Self {
            tallies: less(&self.tallies, &earlier.tallies),
            latencies: less(&self.latencies, &earlier.latencies),
        }
    }
}

/// The programs, loaded, the reader of replies attached. Dropping them detaches.
pub struct Programs {
    ebpf: Ebpf,
    interface_index: u32,
    /// What they share with user space.
    pub maps: Maps,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("interface_index", &self.interface_index).finish_non_exhaustive()
    }
}

/// The maps of both programs.
pub struct Maps {
    plan: Array<MapData, [u8; size_of::<Plan>()]>,
    progress: Array<MapData, [u8; size_of::<Progress>()]>,
    connections: Array<MapData, u64>,
    tallies: PerCpuArray<MapData, u64>,
    latencies: PerCpuArray<MapData, u64>,
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maps").finish_non_exhaustive()
    }
}

/// The whole chain of an error's causes on one line.
fn refused(doing: &'static str, error: &dyn std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    Error::Kernel { doing, reason: text }
}

/// The kernel's number of an interface.
///
/// # Errors
/// When there is none of this name.
pub fn interface_index(interface: &str) -> Result<u32, Error> {
    if_nametoindex(interface)
        .map_err(|_| Error::Usage(format!("--interface {interface}: this host has no such interface")))
}

impl Programs {
    /// Loads them and attaches the reader of replies in the driver of the interface.
    ///
    /// # Errors
    /// When this binary was built without them, rights are missing, or another program is there.
    pub fn attach(interface: &str, interface_index: u32) -> Result<Self, Error> {
        let object = OBJECT.ok_or(Error::NoPrograms)?;
        let loading = |error: ProgramError| refused("the load programs cannot be loaded", &error);
        let mut ebpf =
            Ebpf::load(object).map_err(|error| refused("the load programs cannot be loaded", &error))?;
        program(&mut ebpf, load::GENERATE)?.load().map_err(loading)?;
        let receive = program(&mut ebpf, load::RECEIVE)?;
        receive.load().map_err(loading)?;
        receive
            .attach(interface, XdpMode::Driver)
            .map_err(|error| refused("the reader of replies cannot be attached to the interface", &error))?;
        let maps = Maps::take(&mut ebpf)?;
        Ok(Self { ebpf, interface_index, maps })
    }

    /// Runs the generator in a thread of its own while `meanwhile` runs in this one, and ends it with that.
    ///
    /// # Errors
    /// What `meanwhile` returns, or that the kernel did not run the generator.
    pub fn while_generating<T>(
        &mut self,
        meanwhile: impl FnOnce(&mut Maps) -> Result<T, Error>,
    ) -> Result<T, Error> {
        interruptible()?;
        let Self { ebpf, interface_index, maps } = self;
        let generator: &Xdp = program(ebpf, load::GENERATE)?;
        let ended = AtomicBool::new(false);
        let (tell, told) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name("generator".into())
                .spawn_scoped(scope, || {
                    let _ = tell.send(pthread_self());
                    let result = generate(generator, *interface_index);
                    ended.store(true, Relaxed);
                    result
                })
                .map_err(Error::system("no thread for the generator"))?;
            let result = meanwhile(maps);
            if let Ok(name) = told.recv() {
                while !ended.load(Relaxed) {
                    // A thread that has just ended cannot be told, and need not.
                    let _ = pthread_kill(name, Signal::SIGUSR1);
                    thread::sleep(NUDGE);
                }
            }
            thread.join().map_err(|_| Error::Panicked)??;
            result
        })
    }
}

/// Runs the generator until a signal comes.
fn generate(generator: &Xdp, interface_index: u32) -> Result<(), Error> {
    let (size, data_end, ingress) = XDP_MD;
    let mut context = vec![0; size];
    context[data_end..data_end + 4].copy_from_slice(&(load::FRAME_LEN as u32).to_ne_bytes());
    context[ingress..ingress + 4].copy_from_slice(&interface_index.to_ne_bytes());
    let frame = [0; load::FRAME_LEN];
    let options = TestRunOptions {
        data_in: Some(&frame),
        ctx_in: Some(&context),
        repeat: u32::MAX,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::new()
    };
    match generator.test_run(options) {
        Ok(_) => Ok(()),
        Err(ProgramError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(Errno::EINTR as i32) =>
        {
            Ok(())
        }
        Err(error) => {
            Err(refused("the kernel does not run the generator (it needs root and Linux 5.18)", &error))
        }
    }
}

impl Maps {
    fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        fn array<T: aya::Pod>(ebpf: &mut Ebpf, name: &str) -> Result<Array<MapData, T>, Error> {
            let map = ebpf.take_map(name).ok_or(Error::NoPrograms)?;
            Array::try_from(map).map_err(|error| refused("a map cannot be used", &error))
        }
        fn per_cpu(ebpf: &mut Ebpf, name: &str) -> Result<PerCpuArray<MapData, u64>, Error> {
            let map = ebpf.take_map(name).ok_or(Error::NoPrograms)?;
            PerCpuArray::try_from(map).map_err(|error| refused("a map cannot be used", &error))
        }
        Ok(Self {
            plan: array(ebpf, load::PLAN)?,
            progress: array(ebpf, load::PROGRESS)?,
            connections: array(ebpf, load::CONNECTIONS)?,
            tallies: per_cpu(ebpf, load::TALLIES)?,
            latencies: per_cpu(ebpf, load::LATENCIES)?,
        })
    }

    /// Sets the plan, and the generator to its first request. Not while it runs.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_plan(&mut self, plan: Plan) -> Result<(), Error> {
        let written = self
            .progress
            .set(0, bytemuck::cast::<_, [u8; size_of::<Progress>()]>(Progress::default()), 0)
            .and_then(|()| self.plan.set(0, bytemuck::cast::<_, [u8; size_of::<Plan>()]>(plan), 0));
        written.map_err(|error| refused("a map cannot be written", &error))
    }

    /// How far the generator is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn progress(&self) -> Result<Progress, Error> {
        let bytes = self.progress.get(&0, 0).map_err(unreadable)?;
        Ok(bytemuck::cast(bytes))
    }

    /// How many of the first `sources` have no connection ID.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn unconnected(&self, sources: u32) -> Result<u32, Error> {
        let mut missing = 0;
        for source in 0..sources {
            missing += u32::from(self.connections.get(&source, 0).map_err(unreadable)? == 0);
        }
        Ok(missing)
    }

    /// Forgets all connection IDs of the first `sources`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn disconnect(&mut self, sources: u32) -> Result<(), Error> {
        (0..sources)
            .try_for_each(|source| self.connections.set(source, 0, 0))
            .map_err(|error| refused("a map cannot be written", &error))
    }

    /// Reads what has been counted since the programs were loaded.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let read = |counts: &PerCpuArray<MapData, u64>, entries: u32| -> Result<Vec<u64>, Error> {
            (0..entries).map(|i| Ok(counts.get(&i, 0).map_err(unreadable)?.iter().sum())).collect()
        };
        Ok(Snapshot {
            tallies: read(&self.tallies, Tally::COUNT)?,
            latencies: read(&self.latencies, LATENCY_BUCKETS)?,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: aya::maps::MapError) -> Error {
    refused("a map cannot be read", &error)
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, Error> {
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or(Error::NoPrograms)
}

/// Lets SIGUSR1 interrupt a system call instead of ending the process.
fn interruptible() -> Result<(), Error> {
    static REGISTERED: OnceLock<Result<(), io::ErrorKind>> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, flag).map(|_| ()).map_err(|e| e.kind())
    });
    registered.map_err(|kind| Error::system("SIGUSR1 cannot be caught")(io::Error::from(kind)))
}
