//! How the program on an interface gives way to that of another process of the tracker, which takes its place on the link in
//! one step.

use super::{Attached, Context, Error, Interface, modes, put_off_interrupts};
use crate::xdp::{
    link::{Mode, await_frames},
    network::Network,
    servers::Servers,
    socket::Gauges,
};
use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Weak},
};

/// The link of a program on an interface, as it goes from one process to another.
#[derive(Debug)]
pub struct Inherited {
    /// The interface's name.
    pub interface: String,
    /// Its number.
    pub index: u32,
    /// How the program is attached.
    pub mode: Mode,
    /// The link.
    pub link: OwnedFd,
}

impl Interface {
    /// Remembers what another process's program hangs on, if this one may be attached in that mode. Whether it may.
    pub fn inherit(&mut self, inherited: Inherited, context: &Context) -> bool {
        let may = modes(context.config.mode).contains(&inherited.mode);
        self.inherited = may.then_some(inherited);
        may
    }

    /// Takes the place of another process's program, if there is one, switched on and with its maps filled. Whether there is.
    ///
    /// # Errors
    /// When the place is no more. The interface is then to be attached to as if there had been none.
    pub fn take_place(&mut self, network: &Network, context: &Context) -> Result<bool, Error> {
        let Some(Inherited { index, mode, link, .. }) = self.inherited.take() else { return Ok(false) };
        let known = network.link(&self.name).filter(|link| link.index == index).ok_or(Error::Missing)?;
        self.enabled = true;
        // Before it is shown a frame.
        self.update(network, context)?;
        self.program.take_place(link.into(), mode)?;
        self.attached = Some(Attached {
            index,
            mode,
            why_not: String::new(),
            program_id: self.program.id(),
            deferral: put_off_interrupts(known, mode, context),
            sockets: BTreeMap::new(),
            told: String::new(),
        });
        Ok(true)
    }

    /// The link of its program, by a further descriptor, if it is attached.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn share(&self) -> io::Result<Option<Inherited>> {
        let Some(attached) = &self.attached else { return Ok(None) };
        let inherited = |(link, mode)| {
            let (interface, index) = (self.name.clone(), attached.index);
            Inherited { interface, index, mode, link }
        };
        Ok(self.program.share_link()?.map(inherited))
    }

    /// Has its frames pass to the ordinary sockets, and its AF_XDP sockets closed once all that they had received is answered.
    /// The program goes on answering connects.
    pub fn lend(&mut self, servers: &mut dyn Servers) {
        let Some(attached) = &mut self.attached else { return };
        let sockets: Vec<(u32, Weak<Gauges>)> = std::mem::take(&mut attached.sockets).into_iter().collect();
        for (queue, _) in &sockets {
            self.program.unset_socket(*queue);
        }
        attached.deferral = None;
        await_frames();
        let known: Vec<Arc<Gauges>> = sockets.iter().filter_map(|(_, socket)| socket.upgrade()).collect();
        self.lost_before += known.iter().map(|socket| socket.lost()).sum::<u64>();
        // They hold the sockets open.
        drop(known);
        servers.take_back(attached.index);
    }

    /// Takes its place again, which another process's program may have had meanwhile.
    pub fn reclaim(&mut self, network: &Network, context: &Context) {
        let Some(attached) = &mut self.attached else { return };
        if let Some(link) = network.link(&self.name) {
            attached.deferral = put_off_interrupts(link, attached.mode, context);
        }
        if let Err(error) = self.program.retake_place() {
            tracing::warn!("xdp {}: {error}; trying again", self.name);
            self.attached = None;
        }
    }
}
