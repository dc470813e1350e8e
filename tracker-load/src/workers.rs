//! Running a probe on several threads.

use crate::{error::Error, figures::Figures};
use std::thread;

/// Runs `work` once for each of `parts`, each on a thread of its own, and adds up what they come to.
///
/// # Errors
/// The first one of `work`, once all are done; [`Error::Panicked`] if a thread panicked.
pub fn run<T: Send>(
    parts: Vec<T>,
    work: impl Fn(T) -> Result<Figures, Error> + Sync,
) -> Result<Figures, Error> {
    let results: Vec<Result<Figures, Error>> = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Panicked))).collect()
    });
    let mut all = Figures::default();
    for result in results {
        all.add(&result?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up_and_the_first_error_counts() {
        let all = run(vec![1, 2, 3], |sent| Ok(Figures { sent, ..Figures::default() })).unwrap();
        assert_eq!(all.sent, 6);
        let failed = run(vec![1, 2], |n| if n == 2 { Err(Error::Stopped) } else { Ok(Figures::default()) });
        assert!(matches!(failed, Err(Error::Stopped)));
    }
}
