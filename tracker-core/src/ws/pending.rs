//! The offers that a client has been given and has not answered yet.

use crate::model::Seconds;
use std::collections::VecDeque;

/// Room for so many is kept when there is none.
const KEPT: usize = 16;

/// A bounded queue, the oldest first. Of each offer it knows the way back, where that has to be told.
#[derive(Debug)]
pub(super) struct PendingOffers<B = ()> {
    offers: VecDeque<Pending<B>>,
}

/// Twelve bytes and the way back: there may be hundreds of these for each connection.
#[derive(Clone, Copy, Debug)]
struct Pending<B> {
    ticket: [u32; 2],
    given: Seconds,
    back: B,
}
const _: () = assert!(size_of::<Pending<()>>() == 12);

impl<B> Default for PendingOffers<B> {
    fn default() -> Self {
        Self { offers: VecDeque::new() }
    }
}

const fn halves(ticket: u64) -> [u32; 2] {
    [ticket as u32, (ticket >> 32) as u32]
}

impl<B> PendingOffers<B> {
    /// Notes an offer, in place of the oldest if there are `most`.
    pub(super) fn note(&mut self, ticket: u64, back: B, most: usize, lifetime: Seconds, now: Seconds) {
        self.expire(lifetime, now);
        if self.offers.len() >= most {
            self.offers.pop_front();
        }
        if most > 0 {
            self.offers.push_back(Pending { ticket: halves(ticket), given: now, back });
        }
    }

    /// The way back, if the offer can be answered. It cannot be a second time.
    pub(super) fn take(&mut self, ticket: u64, lifetime: Seconds, now: Seconds) -> Option<B> {
        self.expire(lifetime, now);
        let ticket = halves(ticket);
        let place = self.offers.iter().position(|offer| offer.ticket == ticket);
        self.offers.remove(place?).map(|offer| offer.back)
    }

    /// Bytes that it keeps room for.
    pub(super) fn memory(&self) -> usize {
        self.offers.capacity() * size_of::<Pending<B>>()
    }

    fn expire(&mut self, lifetime: Seconds, now: Seconds) {
        while self.offers.front().is_some_and(|offer| now.saturating_sub(offer.given) >= lifetime) {
            self.offers.pop_front();
        }
        if self.offers.is_empty() && self.offers.capacity() > KEPT {
            self.offers = VecDeque::new();
        }
    }
}
