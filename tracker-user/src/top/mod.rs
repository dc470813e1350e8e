//! `riptide top`: what a running tracker does, live in the terminal, as its metrics tell.
//!
//! `source` asks and bounds, `exposition` and `reading` make values of the text, `rates` and `history` what happens of two and
//! more of them. `app` is what is known and wanted, `view` makes a screen of that, `screen` has the terminal. All but
//! `source` and `screen` do nothing but compute.

mod app;
mod exposition;
mod history;
mod numbers;
mod rates;
mod reading;
mod screen;
mod source;
mod view;

use crate::{
    cli::TopArgs,
    config::parse_duration,
    exit::{Exit, print},
};
use app::{App, PACES};
use source::{Source, SourceError, UrlError};
use std::{
    env,
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};
use view::{Moment, cells::Look};

/// The width of a frame of text, unless `COLUMNS` says otherwise, and what it may say.
const WIDTH: u16 = 80;
const MOST_WIDTH: u16 = 500;

/// Why there is no live view.
#[derive(Debug, thiserror::Error)]
enum TopError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("--every: {0}")]
    Every(String),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(
        "this is no terminal: run it in one (over ssh with `ssh -t`), or take `riptide top --once` for a frame of text, \
         or `curl {0}` for everything"
    )]
    NoTerminal(String),
    #[error("the terminal TERM={0:?} cannot be drawn on: take `riptide top --once` for a frame of text")]
    Dumb(String),
    #[error("the terminal cannot be used: {0}; `riptide top --once` prints a frame of text")]
    Terminal(io::Error),
    #[error("a runtime could not be had: {0}")]
    Runtime(io::Error),
}

impl TopError {
    /// How the command ends for it.
    const fn exit(&self) -> Exit {
        match self {
            Self::Url(_) | Self::Every(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// Shows a tracker until the user ends that, or prints one frame.
#[must_use]
pub fn run(args: &TopArgs) -> Exit {
    show(args).unwrap_or_else(|error| error.exit().because(&error))
}

fn show(args: &TopArgs) -> Result<Exit, TopError> {
    let source = Source::parse(&args.url)?;
    let every = pace(&args.every)?;
    let look = Look::of(|name| env::var(name).ok());
    let app = App::new(source.address.clone(), every);
    if args.once {
        return Ok(print(&frame(app, &source, look)?));
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(TopError::NoTerminal(source.url()));
    }
    if let Some(name) = env::var("TERM").ok().filter(|name| name == "dumb") {
        return Err(TopError::Dumb(name));
    }
    screen::run(app, source, look).map_err(TopError::Terminal)?;
    Ok(Exit::Clean)
}

/// How often to read.
fn pace(text: &str) -> Result<Duration, TopError> {
    let every = parse_duration(text).map_err(TopError::Every)?;
    let [least, most] = [PACES[0], PACES[PACES.len() - 1]];
    match (least..=most).contains(&every) {
        true => Ok(every),
        false => Err(TopError::Every(format!("`{text}` is not from 1s to 1m"))),
    }
}

/// What there is to see after two readings.
fn frame(mut app: App, source: &Source, look: Look) -> Result<String, TopError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(TopError::Runtime)?;
    runtime.block_on(async {
        app.take(Ok(source.read().await?), Instant::now());
        tokio::time::sleep(app.every).await;
        app.take(Ok(source.read().await?), Instant::now());
        Ok::<_, SourceError>(())
    })?;
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let width = columns.unwrap_or(WIDTH).clamp(1, MOST_WIDTH);
    Ok(view::text(&app, look, Moment::now(), width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_often_as_it_is_told() {
        assert_eq!(pace("1s").unwrap(), Duration::from_secs(1));
        assert_eq!(pace("1m").unwrap(), Duration::from_secs(60));
        for text in ["", "5", "0s", "999ms", "61s", "1h"] {
            let error = pace(text).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{text}: {error}");
        }
    }
}
