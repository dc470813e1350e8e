//! The rows of HTTP: announces over connections that are kept alive, beside another tracker and a route that does nothing.

use crate::bench::{
    aims,
    lab::Lab,
    peers::AQUATIC_HTTP,
    result::Report,
    rig::Namespace,
    site::{Site, Sites},
    turns::Contender,
};
use anyhow::{Context, Result};
use std::time::Duration;

/// Where each serves.
const RIPTIDE: u16 = 7001;
const AQUATIC: u16 = 7002;
const ROUTE: u16 = 7003;

const NAME: &str = "HTTP announce, plain, keep-alive";
const LOAD: &str = "http --connections 128 --torrents 10000 --peers 20000 --wanted 30";

/// Measures, and adds rows and what programs showed to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let sites = Sites { lab, namespace: Namespace::new(lab, "http")?, url: ("http://", "/announce") };
    let mut length = None;
    let riptide = Contender::start(lab, "Riptide", || {
        let tables = format!("[http]\nlisten = [\"127.0.0.1:{RIPTIDE}\"]\nworkers = 1\n");
        let riptide = sites.riptide(&tables, RIPTIDE)?;
        let bytes = mean_reply(&sites, &riptide)?;
        length = Some(bytes);
        Ok((riptide, format!("replies of {bytes:.0} bytes")))
    })?;
    let keys = [("enable_tls", false.into()), ("keep_alive", true.into())];
    let aquatic = sites.peer(AQUATIC_HTTP, AQUATIC, &keys)?;
    let route = Contender::start(lab, "do-nothing axum route", || {
        equal_route(&sites, length.context("Riptide's replies have no known length")?)
    })?;
    let load = (NAME, LOAD, Duration::from_secs(lab.choose(3, 8)));
    let aims = [aims::HTTP_AQUATIC, aims::HTTP_ROUTE];
    sites.compare(load, &mut [riptide, aquatic, route], &aims, report)
}

/// How long responses are in the middle, headers and all.
fn mean_reply(sites: &Sites<'_>, site: &Site) -> Result<f64> {
    let figures = site.run(sites.lab, &sites.namespace, LOAD, Duration::from_secs(1))?;
    figures.mean_reply().context("nothing was answered")
}

/// A route whose responses are as long as the tracker's.
fn equal_route(sites: &Sites<'_>, length: f64) -> Result<(Site, String)> {
    /// Longer than the dictionary that the route cannot do without.
    const SOME: f64 = 200.0;
    let start = |body: f64| {
        let arguments = [format!("127.0.0.1:{ROUTE}"), format!("{body:.0}")].map(Into::into);
        sites.start("do-nothing axum route", &sites.lab.example("nothing_http"), &arguments, ROUTE)
    };
    let headers = mean_reply(sites, &start(SOME)?)? - SOME;
    let body = (length - headers).max(0.0);
    Ok((start(body)?, format!("{headers:.0} bytes of headers and a body of {body:.0}")))
}
