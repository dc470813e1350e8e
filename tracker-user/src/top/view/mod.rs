//! The screen, from a size and what is known: what is less important goes first when there is little room.

pub(super) mod cells;
mod head;
mod panels;
#[cfg(test)]
mod tests;

use super::app::{App, Latest};
use cells::Look;
use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::Style,
    text::Line,
};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// From so many columns of the screen on there are two of panels, and three.
const TWO: u16 = 60;
const THREE: u16 = 120;
/// On screens that are not so high a summary comes first.
const LOW: u16 = 14;
/// Columns between panels.
const GAP: u16 = 2;
/// Rows that a whole screen of text may have.
const MOST_ROWS: u16 = 500;

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Seconds since 1970.
    pub(super) wall: f64,
}

impl Moment {
    /// This one.
    pub(super) fn now() -> Self {
        // A clock from before 1970 is no clock.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { now: Instant::now(), wall }
    }
}

/// Draws all of it, with what keys do on the last line.
pub(super) fn draw(buffer: &mut Buffer, app: &App, look: Look, moment: Moment) {
    let area = buffer.area;
    let rows = usize::from(area.height);
    let mut top = head(buffer, area, app, look, moment);
    let mut rest = Rect { y: area.y + top, height: area.height - top, ..area };
    if rows >= 3 && rest.height > 0 {
        rest.height -= 1;
        buffer.set_line(rest.x, rest.bottom(), &head::last(app, usize::from(area.width)), area.width);
    }
    if rest.height > 2 && area.height >= LOW {
        top = 1;
        rest = Rect { y: rest.y + top, height: rest.height - top, ..rest };
    }
    if app.help {
        stack(buffer, rest, [head::help(usize::from(rest.width))]);
    } else {
        body(buffer, rest, app, look, area.height < LOW);
    }
}

/// All of it as text, so many columns wide and without what keys do.
pub(super) fn text(app: &App, look: Look, moment: Moment, width: u16) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, MOST_ROWS));
    let area = buffer.area;
    let top = head(&mut buffer, area, app, look, moment) + 1;
    let rest = Rect { y: top, height: area.height.saturating_sub(top), ..area };
    body(&mut buffer, rest, app, look, false);
    let rows = buffer.content().chunks(usize::from(width.max(1)));
    let rows = rows.map(|cells| cells.iter().map(Cell::symbol).collect::<String>());
    let text: String = rows.map(|row| row.trim_end().to_owned() + "\n").collect();
    text.trim_end().to_owned() + "\n"
}

/// Draws the first lines, and says how many there are.
fn head(buffer: &mut Buffer, area: Rect, app: &App, look: Look, moment: Moment) -> u16 {
    let width = usize::from(area.width);
    let mut lines = vec![head::first(app, look, moment, width)];
    // With nothing to show there is room for all of it.
    let most = if app.latest.is_some() { (area.height / 3).max(1) } else { area.height };
    lines.extend(head::trouble(app, look, moment, width, most.into()));
    if area.height >= LOW {
        lines.extend(head::second(app, width));
    }
    let mut rows = 0;
    for line in lines.iter().take(area.height.into()) {
        buffer.set_line(area.x, area.y + rows, line, area.width);
        rows += 1;
    }
    rows
}

/// Draws what the tracker said.
fn body(buffer: &mut Buffer, area: Rect, app: &App, look: Look, is_low: bool) {
    let Some(latest) = &app.latest else { return };
    let count = match area.width {
        0..TWO => 1,
        TWO..THREE => 2,
        _ => 3,
    };
    let width = area.width.saturating_sub(GAP * (count - 1)) / count;
    let columns = columns(app, latest, look, width.into(), count, is_low);
    for (number, panels) in (0..).zip(columns) {
        stack(buffer, Rect { x: area.x + number * (width + GAP), width, ..area }, panels);
    }
    if !app.is_current() {
        // It is there to be compared, and told from what is true now.
        buffer.set_style(area, Style::new().dim());
    }
}

/// Which panels each column has, from above.
fn columns(
    app: &App,
    latest: &Latest,
    look: Look,
    width: usize,
    count: u16,
    is_low: bool,
) -> Vec<Vec<Vec<Line<'static>>>> {
    let is_summed_up = count == 1 || is_low;
    let mut first = Vec::new();
    if is_summed_up {
        first.push(panels::summary(app, latest, look, width));
    }
    first.push(panels::rates(app, latest, look, width, is_summed_up));
    let losses = panels::losses(app, latest, width);
    let clients = panels::clients(app, latest, width);
    let levels = [
        panels::room(latest, look, width),
        panels::swarms(latest, width),
        panels::cluster(latest, look, width),
        panels::workers(latest, look, width),
        panels::queues(latest, width),
    ];
    match count {
        1 => vec![first.into_iter().chain([losses]).chain(levels).chain([clients]).collect()],
        2 => vec![first.into_iter().chain([losses]).collect(), levels.into_iter().chain([clients]).collect()],
        _ => vec![first, levels.into(), vec![losses, clients]],
    }
}

/// Draws panels below each other, as long as there is room for a title with a row.
fn stack(buffer: &mut Buffer, area: Rect, panels: impl IntoIterator<Item = Vec<Line<'static>>>) {
    let mut row = area.y;
    for panel in panels.into_iter().filter(|panel| !panel.is_empty()) {
        let begin = if row == area.y { row } else { row + 1 };
        let least = panel.len().min(2) as u16;
        if begin + least > area.bottom() {
            return;
        }
        row = begin;
        for line in panel.iter().take(usize::from(area.bottom() - begin)) {
            buffer.set_line(area.x, row, line, area.width);
            row += 1;
        }
    }
}
