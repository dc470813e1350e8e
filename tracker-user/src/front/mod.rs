//! The page at `/`: what this is, and the announce URLs to copy. Whole without script, which only adds the buttons.

mod urls;

pub use urls::Listeners;

use crate::{
    config,
    host::{Host, PublicHost},
    html::{self, Head, WAVE},
    http,
};
use axum::http::HeaderValue;
use bytes::Bytes;
use std::{fmt::Write as _, sync::Arc};
use tracker_core::engine::Engine;
use urls::{KEY, UNKNOWN_HOST, Url};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("copy.js");

/// The page.
#[derive(Debug)]
pub struct FrontPage {
    engine: Arc<Engine>,
    listeners: Listeners,
    public: Option<PublicHost>,
    has_stats: bool,
    policy: HeaderValue,
}

impl FrontPage {
    /// For clients of these listeners.
    #[must_use]
    pub fn new(config: &config::Http, engine: Arc<Engine>, listeners: Listeners) -> Self {
        Self {
            engine,
            listeners,
            public: config.public_host.clone(),
            has_stats: config.stats,
            policy: html::policy(STYLE, SCRIPT),
        }
    }

    fn render(&self, asked: Option<&Host>, private: bool) -> String {
        let urls = urls::urls(&self.listeners, self.public.as_ref(), asked, private);
        let is_known = self.public.is_some() || asked.is_some();
        let mut page = String::with_capacity(8 << 10);
        // Writing to a string does not fail.
        let _ = write_page(&mut page, &urls, private, is_known, self.has_stats);
        page
    }
}

/// Lines for whoever has started the tracker: what clients announce to, and what people open.
pub fn log(config: &config::Http, listeners: &Listeners, private: bool) {
    let announced = announced(config, listeners, private);
    if !announced.is_empty() {
        let is_open = announced.iter().any(|url| url.contains(&format!("//{UNKNOWN_HOST}")));
        let hint = if is_open { "; HOST is how they reach this machine (http.public_host)" } else { "" };
        tracing::info!("clients announce to {}{hint}", announced.join(", "));
    }
    let opened = opened(config, listeners);
    if !opened.is_empty() {
        tracing::info!("people open {}", opened.join(" and "));
    }
}

/// What clients announce to. Where nobody else can, what those on this host do.
fn announced(config: &config::Http, listeners: &Listeners, private: bool) -> Vec<String> {
    let public = config.public_host.as_ref();
    let of = |asked| urls::urls(listeners, public, asked, private);
    let mut urls = of(None);
    if urls.is_empty() {
        urls = of(Some(&Host::here()));
    }
    urls.into_iter().map(|url| url.text).collect()
}

/// The pages that are served, as they are reached from this host.
fn opened(config: &config::Http, listeners: &Listeners) -> Vec<String> {
    let hosts = [Host::here()].into_iter().chain(listeners.addresses().map(Host::Address));
    let public = config.public_host.as_ref();
    let origin = hosts.into_iter().find_map(|host| {
        let urls = urls::urls(listeners, public, Some(&host), false);
        let announce = urls.into_iter().map(|url| url.text).find(|text| text.starts_with("http"))?;
        announce.strip_suffix("/announce").map(str::to_owned)
    });
    let pages =
        [(config.page, "/"), (config.stats, "/stats")].into_iter().filter(|(is_served, _)| *is_served);
    origin
        .into_iter()
        .flat_map(|origin| pages.clone().map(move |(_, path)| format!("{origin}{path}")))
        .collect()
}

impl http::Front for FrontPage {
    fn page(&self, host: Option<&str>) -> Bytes {
        let asked = host.and_then(Host::parse_with_port).map(|(host, _)| host);
        self.render(asked.as_ref(), self.engine.policy().admission.is_private()).into()
    }

    fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }
}

fn write_page(
    page: &mut String,
    urls: &[Url],
    private: bool,
    is_known: bool,
    has_stats: bool,
) -> std::fmt::Result {
    let head = Head {
        title: "Riptide: a BitTorrent tracker",
        description: Some("A BitTorrent tracker: its announce URLs"),
        style: STYLE,
        script: SCRIPT,
        refresh: None,
    };
    write!(
        page,
        "{head}<body><header><h1>{WAVE}BitTorrent tracker</h1></header><main><p class=\"lead\">A tracker tells those who share a \
        torrent about each other, and holds no files. Add one of these addresses to a torrent, and its peers find each other here.</p>"
    )?;
    write_urls(page, urls)?;
    let mut notes = Vec::new();
    if private {
        notes.push(format!(
            "This tracker is private: put the key that you were given in the place of <b>{KEY}</b>. Over UDP your client must \
            support BEP 41."
        ));
    }
    if !is_known {
        notes.push(format!("Put the name of this host in the place of <b>{UNKNOWN_HOST}</b>."));
    }
    for note in notes {
        write!(page, "<section class=\"card\"><p class=\"note\">{note}</p></section>")?;
    }
    if has_stats {
        page.push_str("<p class=\"more\"><a href=\"stats\">What it is doing right now</a></p>");
    }
    writeln!(
        page,
        "<p id=\"said\" class=\"sign\" role=\"status\"></p></main><footer><span>Riptide {}</span></footer></body></html>",
        env!("CARGO_PKG_VERSION")
    )
}

fn write_urls(page: &mut String, urls: &[Url]) -> std::fmt::Result {
    if urls.is_empty() {
        page.push_str(
            "<section class=\"card\"><h2>Announce URLs</h2><p class=\"note\">None is known: no listener is reached by the name \
            of this host. The operator says by <b>http.public_host</b> how clients reach it.</p></section>",
        );
        return Ok(());
    }
    page.push_str(
        "<section class=\"card\"><div class=\"title\"><h2>Announce URLs</h2><button data-copy=\"code\" hidden>Copy all</button>\
        </div><p class=\"note\">All lead to the same peers: take the one that your client can use, or all.</p><ul class=\"urls\">",
    );
    for (i, Url { protocol, text }) in urls.iter().enumerate() {
        write!(
            page,
            "<li><span>{protocol}</span><code id=\"u{i}\">{text}</code><button data-copy=\"#u{i}\" aria-label=\"Copy {text}\" hidden>\
            Copy</button></li>"
        )?;
    }
    page.push_str("</ul></section>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, ListenAddress},
        html::assert_well_formed,
        http::Front as _,
    };
    use tracker_core::policy::Policy;

    fn page(change: impl FnOnce(&mut config::Http)) -> FrontPage {
        let mut config = Config::default();
        change(&mut config.http);
        let engine = Arc::new(Engine::new(Policy::default(), [1, 2]));
        let udp = config.udp.listen.addresses.clone();
        let http = config.http.listen.addresses.clone();
        FrontPage::new(&config.http, engine, Listeners { udp, http, https: Vec::new(), websocket: true })
    }

    fn text(page: &FrontPage, host: Option<&str>) -> String {
        String::from_utf8(page.page(host).to_vec()).unwrap()
    }

    #[test]
    fn whoever_starts_it_is_told_what_to_announce_to_and_to_open() {
        let config = Config::default().http;
        let of = |udp: &[&str], http: &[&str]| Listeners {
            udp: udp.iter().map(|text| text.parse().unwrap()).collect(),
            http: http.iter().map(|text| ListenAddress::Tcp(text.parse().unwrap())).collect(),
            https: Vec::new(),
            websocket: true,
        };
        let both = ["0.0.0.0:6969", "[::]:6969"];
        for (listeners, announce, open) in [
            (
                of(&both, &both),
                &["udp://HOST:6969/announce", "http://HOST:6969/announce", "ws://HOST:6969"][..],
                &["http://localhost:6969/", "http://localhost:6969/stats"][..],
            ),
            (
                of(&["127.0.0.1:1"], &["127.0.0.1:2"]),
                &["udp://localhost:1/announce", "http://localhost:2/announce", "ws://localhost:2"],
                &["http://localhost:2/", "http://localhost:2/stats"],
            ),
            (
                of(&["192.0.2.1:1"], &["192.0.2.1:2"]),
                &["udp://HOST:1/announce", "http://HOST:2/announce", "ws://HOST:2"],
                &["http://192.0.2.1:2/", "http://192.0.2.1:2/stats"],
            ),
            (of(&["[::]:1"], &[]), &["udp://HOST:1/announce"], &[]),
        ] {
            assert_eq!(announced(&config, &listeners, false), announce);
            assert_eq!(opened(&config, &listeners), open);
        }
        let named = config::Http {
            public_host: PublicHost::parse("https://tracker.example"),
            stats: false,
            ..config
        };
        let listeners = of(&both, &both);
        let announce = ["udp://tracker.example:6969/KEY/announce", "https://tracker.example/KEY/announce"];
        assert_eq!(announced(&named, &listeners, true)[..2], announce);
        assert_eq!(opened(&named, &listeners), ["https://tracker.example/"]);
    }

    #[test]
    fn a_page_shows_every_url() {
        let html = text(&page(|_| {}), Some("tracker.example:6969"));
        assert_well_formed(&html);
        for part in [
            ">udp://tracker.example:6969/announce</code>",
            ">http://tracker.example:6969/announce</code>",
            ">ws://tracker.example:6969</code>",
            "<a href=\"stats\">",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("HOST") && !html.contains("KEY"), "{html}");
        assert!(html.len() < 8 << 10, "{}", html.len());
        assert!(!text(&page(|http| http.stats = false), None).contains("href=\"stats\""));
    }

    #[test]
    fn nothing_of_the_request_gets_into_the_page_unless_it_is_a_host() {
        let page = page(|_| {});
        for host in [
            "<script>",
            "\"><b>",
            "a.example/<i>",
            "a'b",
            "evil.example:80:80",
            "javascript:alert(1)",
            "",
            "é",
        ] {
            let html = text(&page, Some(host));
            assert_well_formed(&html);
            assert!(
                html.contains("udp://HOST:6969/announce") && html.contains("in the place of <b>HOST</b>"),
                "{host}"
            );
        }
        assert_eq!(text(&page, None), text(&page, Some("<script>")));
    }

    #[test]
    fn what_the_operator_says_goes_first() {
        let page = page(|http| http.public_host = PublicHost::parse("https://tracker.example"));
        let html = text(&page, Some("other.example"));
        assert!(
            html.contains(">https://tracker.example/announce<") && html.contains(">wss://tracker.example<")
        );
        assert!(!html.contains("other.example") && !html.contains(">http://"), "{html}");
    }

    #[test]
    fn a_private_tracker_says_so() {
        let html = page(|_| {}).render(Host::parse("a.example").as_ref(), true);
        assert_well_formed(&html);
        assert!(html.contains("udp://a.example:6969/KEY/announce") && html.contains("is private"), "{html}");
    }

    #[test]
    fn where_nothing_is_reached_the_page_says_what_to_do() {
        let html = text(&page(|http| http.listen.addresses.clear()), Some("[::1]:80"));
        assert!(html.contains("udp://[::1]:6969/announce"));
        let mut none = page(|_| {});
        none.listeners = Listeners::default();
        let html = text(&none, Some("a.example"));
        assert_well_formed(&html);
        assert!(html.contains("http.public_host"), "{html}");
    }
}
