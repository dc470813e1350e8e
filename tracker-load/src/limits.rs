//! The limit on open file descriptors.

use crate::error::Error;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors kept free for everything but connections: standard streams, timers, epoll, files.
const SPARE: u64 = 64;

/// Raises the soft limit to the hard one and makes sure that `connections` fit.
///
/// # Errors
/// When they do not fit.
pub fn room_for(connections: u64) -> Result<(), Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(Error::system("the limit on file descriptors cannot be read"))?;
    let allowed =
        if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    let needed = connections.saturating_add(SPARE);
    if needed > allowed { Err(Error::Descriptors { needed, allowed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_refused_and_few_are_not() {
        assert!(room_for(1).is_ok());
        let text = room_for(u64::MAX - 100).unwrap_err().to_string();
        assert!(text.contains("ulimit"), "{text}");
    }
}
