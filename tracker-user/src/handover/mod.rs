//! Hand-over: a new process of the tracker takes everything over from a running one, and no request goes unanswered.
//!
//! `messages` are what the two say, `channel` carries them and descriptors over a Unix socket, `descriptors` is what
//! is handed over open, `swarms` what is handed over as records. `giver` is the side of the running process, `taker` that
//! of the new one, `successor` starts that one.
//!
//! ```text
//! taker                                    giver
//! Hello                     ->
//!                           <-             Hello
//!                           <-             Descriptors…, Inventory
//! (binds what else is wanted, attaches XDP where nothing was)
//! Fetch                     ->
//!                           <-             Swarms…, Shares… of a walk, and of what changes meanwhile; Walked
//! Prepared                  ->
//!                           (accepts and reads no more)
//!                           <-             Swarms…, Shares… of the last changes, Counted, Yours
//! (reads, attaches XDP)
//! Serving                   ->
//!                           <-             Left
//!                           <-             Swarms…, Shares…, Counted…: what its last clients did; Bye
//! ```
//!
//! Before each `Swarms` comes `Written`.
//!
//! Until `Yours` the giver serves on, whatever becomes of the taker, and until `Serving` it takes everything back when the
//! taker fails or says nothing. It then says `Revoked`, so that a taker that comes late ends. A giver that is gone without a
//! word has crashed: a taker that has its descriptors goes on with what it has.

pub mod channel;
pub mod descriptors;
pub mod giver;
pub mod messages;
pub mod successor;
pub mod swarms;
pub mod taker;

#[cfg(test)]
mod tests;
