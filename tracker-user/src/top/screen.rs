//! The live view: readings, keys and signals on one side, the terminal on the other, which is left as it was found.

use super::{
    app::{App, Wish},
    source::Source,
    view::{self, Moment, cells::Look},
};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use std::{io, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// How often the screen is drawn at least: it tells how long ago something was.
const REDRAW: Duration = Duration::from_secs(1);
/// Events of the terminal that wait to be seen.
const MAX_EVENTS: usize = 64;

/// Shows the tracker until somebody ends it.
///
/// # Errors
/// The terminal cannot be used, or is gone.
pub(super) fn run(app: App, source: Source, look: Look) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut screen = Screen::enter()?;
    let shown = runtime.block_on(show(&mut screen.0, app, source, look));
    // Whoever is asked just now is not waited for: a name that is looked up takes its time.
    runtime.shutdown_background();
    drop(screen);
    shown
}

/// The terminal, in our hands until this is dropped or the program panics.
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // A part of it may have been done.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where the terminal is gone nothing is left to restore.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

async fn show(terminal: &mut DefaultTerminal, mut app: App, source: Source, look: Look) -> io::Result<()> {
    let mut signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(terminate), Ok(interrupt), Ok(hangup)] = &mut signals else {
        return Err(io::Error::other("signals cannot be watched"));
    };
    let mut events = events();
    let mut asking = JoinSet::new();
    let mut asked = Instant::now();
    let mut due = asked;
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            event = events.recv() => match event {
                Some(Ok(event)) => {
                    if wish(&event).is_some_and(|wish| !app.obey(wish)) {
                        return Ok(());
                    }
                    due = asked + app.every;
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            Some(answer) = asking.join_next() => {
                let (outcome, at) = answer.map_err(io::Error::other)?;
                // What came too late to be seen is not seen later.
                if !app.paused {
                    app.take(outcome, at);
                }
            }
            () = sleep_until(due), if asking.is_empty() && !app.paused => {
                asked = Instant::now();
                due = asked + app.every;
                let source = source.clone();
                asking.spawn(async move {
                    let outcome = source.read().await.map_err(|error| error.to_string());
                    (outcome, std::time::Instant::now())
                });
                continue;
            }
            _ = redraw.tick() => {}
        }
        terminal.draw(|frame| view::draw(frame.buffer_mut(), &app, look, Moment::now()))?;
    }
}

/// What the terminal tells, on a thread of its own that ends with the process: nothing else may wait for a terminal.
fn events() -> mpsc::Receiver<io::Result<Event>> {
    let (tell, told) = mpsc::channel(MAX_EVENTS);
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if tell.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    });
    told
}

/// What is meant by what the terminal tells, if it is a key that means something.
fn wish(event: &Event) -> Option<Wish> {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) =
        event
    else {
        return None;
    };
    match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Quit),
        _ if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => None,
        KeyCode::Char('q' | 'Q') => Some(Wish::Quit),
        KeyCode::Esc => Some(Wish::Back),
        KeyCode::Char('p' | ' ') => Some(Wish::Pause),
        KeyCode::Char('s') => Some(Wish::Sort),
        KeyCode::Char('+' | '=') => Some(Wish::Slower),
        KeyCode::Char('-') => Some(Wish::Faster),
        KeyCode::Char('?' | 'h') => Some(Wish::Help),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_help_says() {
        let key = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
        for (code, meant) in [
            (KeyCode::Char('q'), Some(Wish::Quit)),
            (KeyCode::Esc, Some(Wish::Back)),
            (KeyCode::Char('p'), Some(Wish::Pause)),
            (KeyCode::Char(' '), Some(Wish::Pause)),
            (KeyCode::Char('s'), Some(Wish::Sort)),
            (KeyCode::Char('+'), Some(Wish::Slower)),
            (KeyCode::Char('-'), Some(Wish::Faster)),
            (KeyCode::Char('?'), Some(Wish::Help)),
            (KeyCode::Char('x'), None),
            (KeyCode::Up, None),
        ] {
            assert_eq!(key(code, KeyModifiers::NONE), meant, "{code:?}");
        }
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Char('s'), KeyModifiers::CONTROL), None);
        assert_eq!(wish(&Event::Resize(20, 6)), None);
    }
}
