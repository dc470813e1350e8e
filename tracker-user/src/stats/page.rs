//! The page that people read: one HTML document, whole without script. With script its parts follow the tracker.

mod now;
mod requests;
mod swarms;
mod tables;

use super::{View, text::Age};
use crate::html::{Escaped, Head, WAVE};
use std::fmt::{self, Write as _};

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("live.js");
/// After how many seconds a browser without scripts loads the page again, and one with scripts that gets no events.
const REFRESH: u32 = 10;

/// A part of the page, which changes as a whole.
pub(super) struct Part {
    /// Of the element that it is in.
    pub(super) id: &'static str,
    /// How often it is told to those who follow, seconds.
    pub(super) every: u64,
    write: fn(&mut String, &View) -> fmt::Result,
}

impl Part {
    /// What is inside its element.
    pub(super) fn render(&self, view: &View) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = (self.write)(&mut text, view);
        text
    }
}

const fn part(id: &'static str, every: u64, write: fn(&mut String, &View) -> fmt::Result) -> Part {
    Part { id, every, write }
}

/// Every part. Charts are most of the page, and change little from tick to tick.
pub(super) const PARTS: [Part; 12] = [
    part("up", 2, write_uptime),
    part("now", 2, now::write),
    part("whose", 2, now::write_whose),
    part("hour", 10, requests::write_hour),
    part("day", 30, requests::write_day),
    part("paths", 2, requests::write_paths),
    part("swarms", 10, swarms::write_sizes),
    part("families", 2, swarms::write_families),
    part("software", 2, tables::write_clients),
    part("interfaces", 10, tables::write_interfaces),
    part("actions", 2, tables::write_actions),
    part("refusals", 2, tables::write_refusals),
];

/// The whole page.
pub(super) fn render(view: &View) -> String {
    let mut page = String::with_capacity(128 << 10);
    let _ = write_page(&mut page, view);
    page
}

fn write_page(page: &mut String, view: &View) -> fmt::Result {
    let head =
        Head { title: "Riptide", description: None, style: STYLE, script: SCRIPT, refresh: Some(REFRESH) };
    write!(page, "{head}<body><header><h1>{WAVE}Riptide</h1><p>")?;
    write_part(page, view, "span", "up", "")?;
    write!(
        page,
        " · <span title=\"commit {}\">version {}</span></p></header><main>",
        Escaped(view.commit),
        Escaped(view.version)
    )?;
    write_part(page, view, "dl", "now", "tiles")?;
    write_part(page, view, "p", "whose", "note")?;
    page.push_str(
        "<section class=\"card\"><h2>Requests</h2><p class=\"note\">per second, by protocol and path</p><div class=\"charts\">",
    );
    write_part(page, view, "figure", "hour", "")?;
    write_part(page, view, "figure", "day", "")?;
    page.push_str("</div>");
    write_part(page, view, "div", "paths", "")?;
    page.push_str("</section><div class=\"pair\">");
    write_part(page, view, "section", "swarms", "card")?;
    write_part(page, view, "section", "families", "card")?;
    page.push_str("</div><div class=\"pair\"><div>");
    write_part(page, view, "section", "software", "card")?;
    write_part(page, view, "section", "interfaces", "card")?;
    page.push_str("</div><div>");
    write_part(page, view, "section", "actions", "card")?;
    write_part(page, view, "section", "refusals", "card")?;
    writeln!(
        page,
        "</div></div></main><footer><span id=\"state\" role=\"status\">Refreshes every {REFRESH} seconds</span>\
        <a href=\"stats.json\">The same as JSON</a></footer></body></html>"
    )
}

/// An element with the part of this name in it.
fn write_part(page: &mut String, view: &View, element: &str, id: &str, class: &str) -> fmt::Result {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    write!(page, "<{element} id=\"{id}\"{class}>")?;
    if let Some(part) = PARTS.iter().find(|part| part.id == id) {
        (part.write)(page, view)?;
    }
    write!(page, "</{element}>")
}

fn write_uptime(page: &mut String, view: &View) -> fmt::Result {
    write!(page, "up {}", Age(view.uptime))
}
