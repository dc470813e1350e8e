//! What the pages for people have in common: their look, and what a browser may do with them.

use axum::http::HeaderValue;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use std::fmt;

/// Colours, type and the frame of every page; what a page adds comes after it.
const STYLE: &str = include_str!("html/base.css");

/// The mark of the project.
pub const WAVE: &str = "<svg viewBox=\"0 0 30 20\" aria-hidden=\"true\"><path d=\"M2 7q4.3-6 8.7 0t8.7 0 8.6 0M2 15q4.3-6 8.7 0t8.7 0 8.6 0\"/></svg>";

/// The same as a picture for the browser's tab, so that it asks for none.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 30 30' fill='none' stroke='%231f66c2' \
    stroke-width='3' stroke-linecap='round'%3E%3Cpath d='M2 11q4.3-6 8.7 0t8.7 0 8.6 0M2 20q4.3-6 8.7 0t8.7 0 8.6 0'/%3E%3C/svg%3E";

/// A page's beginning, up to its header.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What the browser shows on its tab.
    pub title: &'a str,
    /// What search engines show, if they may show the page at all.
    pub description: Option<&'a str>,
    /// What its style sheet adds to that of all pages.
    pub style: &'a str,
    /// The one script, which runs once the page is there.
    pub script: &'a str,
    /// After how many seconds a browser without scripts loads the page again.
    pub refresh: Option<u32>,
}

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, description, style, script, refresh } = self;
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\
            <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">",
            Escaped(title)
        )?;
        match description {
            Some(text) => write!(f, "<meta name=\"description\" content=\"{}\">", Escaped(text))?,
            None => f.write_str("<meta name=\"robots\" content=\"noindex\">")?,
        }
        if let Some(seconds) = refresh {
            write!(f, "<noscript><meta http-equiv=\"refresh\" content=\"{seconds}\"></noscript>")?;
        }
        write!(
            f,
            "<link rel=\"icon\" href=\"{ICON}\"><style>{STYLE}{style}</style>\
            <script type=\"module\">{script}</script></head>"
        )
    }
}

/// What a browser may do with a page of this style and this script, and no others, as [`Head`] has them: the header
/// `Content-Security-Policy`. The page talks to nobody but this tracker, and no other page holds it in a frame.
#[must_use]
pub fn policy(style: &str, script: &str) -> HeaderValue {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let style = [STYLE, style].concat();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(&style),
        hash(script)
    );
    // Base64 and the words above are visible ASCII; were they not, the page would do nothing.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// A text in which nothing is markup: in an element and in a quoted attribute.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (before, behind) = rest.split_at(at);
            f.write_str(before)?;
            f.write_str(match behind.as_bytes().first() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = behind.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

/// Every element is closed by its own end, and every attribute is quoted.
#[cfg(test)]
pub(crate) fn assert_well_formed(html: &str) {
    const VOID: [&str; 2] = ["meta", "link"];
    let mut open = Vec::new();
    let mut rest = html;
    while let Some((_, behind)) = rest.split_once('<') {
        let (tag, behind) = behind.split_once('>').expect("a tag without an end");
        rest = behind;
        let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "before {behind:.80}");
        } else if !tag.ends_with('/') && !tag.starts_with('!') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        for end in ["style", "script"].into_iter().filter(|raw| tag.split(' ').next() == Some(raw)) {
            rest = rest.split_once(&format!("</{end}>")).expect("the end of a style or script").1;
            open.pop();
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        let text = "a<b>\"c\" & 'd' é</script>";
        let escaped = "a&lt;b&gt;&quot;c&quot; &amp; &#39;d&#39; é&lt;/script&gt;";
        assert_eq!(Escaped(text).to_string(), escaped);
        assert_eq!(Escaped("").to_string(), "");
        assert_eq!(Escaped("eth0").to_string(), "eth0");
    }

    #[test]
    fn a_policy_names_the_style_and_the_script() {
        // printf 'a()' | openssl dgst -sha256 -binary | base64
        let policy = policy("a{}", "a()");
        let policy = policy.to_str().unwrap();
        assert!(
            !policy.contains("unsafe") && policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(
            policy.contains("script-src 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4=';"),
            "{policy}"
        );
    }
}
