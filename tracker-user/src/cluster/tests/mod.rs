//! Nodes that speak with each other directly, and messages byte by byte.

mod coming_and_going;
mod house;
mod limits;
mod nodes;
mod repairs;
mod service;
mod trust;
mod walking;
mod wire;
