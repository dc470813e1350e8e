//! Transfers
