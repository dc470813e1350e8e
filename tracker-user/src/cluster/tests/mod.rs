//! Nodes that speak with each other directly, and messages byte by byte.

mod house;
mod nodes;
mod repairs;
mod trust;
mod wire;
