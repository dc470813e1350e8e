//! The rows of HTTP: announces over connections that are kept alive, beside another tracker and a route that does nothing.

use crate::bench::{
    Lab, aims,
    peers::Peer,
    program::{Program, Ready},
    progress::Plan,
    report::Report,
    rig::Namespace,
    turns::{self, Contender, Load},
};
use anyhow::{Context, Result, anyhow};
use std::time::Duration;

/// Where each serves.
const RIPTIDE: u16 = 7001;
const AQUATIC: u16 = 7002;
const ROUTE: u16 = 7003;

/// What both forms of the load have in common.
const OPTIONS: &str = "http --connections 128 --torrents 10000 --peers 20000 --wanted 30";

/// The load of the rows, and another with more peers in the replies: popular torrents, most of whose peers are leechers.
const FORMS: [(&str, &str); 2] = [
    ("HTTP announce, plain, keep-alive", ""),
    ("HTTP announce, plain, keep-alive, Zipf 1.0, 25 % seeders", "--zipf 1.0 --seeders 25"),
];

/// What comes before the turns: how long replies are, and what the route's headers add to them.
const LENGTHS: usize = 2;

/// The forms that are measured.
fn loads(lab: &Lab) -> Vec<Load> {
    let forms = lab.choose(&FORMS[..1], &FORMS[..]);
    let load = |&(name, options): &(&str, &str)| Load {
        name: name.to_owned(),
        arguments: OPTIONS.split(' ').chain(options.split_whitespace()).map(str::to_owned).collect(),
        warmup: Duration::from_secs(1),
        duration: Duration::from_secs(lab.choose(3, 10)),
        rounds: lab.choose(3, 5),
    };
    forms.iter().map(load).collect()
}

/// What is ahead.
pub(crate) fn plan(lab: &Lab) -> Plan {
    loads(lab).iter().fold(Plan::default(), |plan, load| {
        plan + Plan::steps(LENGTHS, 4) + Plan::steps(3 * load.rounds, load.seconds())
    })
}

/// Measures, and adds rows and details to the report.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    for (index, load) in loads(lab).iter().enumerate() {
        let namespace = Namespace::new(lab, "http")?;
        let mut riptide = Contender::started(lab, "Riptide", &url(RIPTIDE), riptide(lab, &namespace))?;
        let mut aquatic = aquatic(lab, &namespace)?;
        let mut route = Contender::started(
            lab,
            "do-nothing axum route",
            &url(ROUTE),
            equal_route(lab, &namespace, load, &mut riptide),
        )?;
        turns::take(lab, &namespace, load, &mut [&mut riptide, &mut aquatic, &mut route])?;
        if index == 0 {
            report.rows.push(turns::row(&aims::HTTP_AQUATIC, &riptide, &aquatic));
            report.rows.push(turns::row(&aims::HTTP_ROUTE, &riptide, &route));
        }
        report.details.extend(turns::details(load, &[&riptide, &aquatic, &route])?);
    }
    Ok(())
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/announce")
}

fn riptide(lab: &Lab, namespace: &Namespace) -> Result<Program> {
    let configuration = format!(
        "[udp]\nlisten = []\n[http]\nlisten = [\"127.0.0.1:{RIPTIDE}\"]\nworkers = 1\n[metrics]\nlisten = \"off\"\n\
         [state]\ndirectory = {:?}\n",
        lab.scratch().join("state")
    );
    let file = turns::file(lab, "riptide.toml", &configuration)?;
    let mut command = namespace.command(&[lab.cpus.tracker], &lab.binary("riptide"));
    command.args(["run", "--config"]).arg(file);
    Program::start(lab, "Riptide", command, Ready::Word("ready"))
}

fn aquatic(lab: &Lab, namespace: &Namespace) -> Result<Contender> {
    let name = Peer::AquaticHttp.name();
    let path = match lab.peers.path(Peer::AquaticHttp) {
        Ok(path) => path,
        Err(why) => return Ok(Contender::absent(name, why)),
    };
    let configuration = format!(
        "socket_workers = 1\nswarm_workers = 1\nlog_level = \"error\"\n[network]\naddress = \"127.0.0.1:{AQUATIC}\"\n\
         enable_tls = false\nkeep_alive = true\n[metrics]\nrun_prometheus_endpoint = false\n"
    );
    let file = turns::file(lab, "aquatic_http.toml", &configuration)?;
    let mut command = namespace.command(&[lab.cpus.tracker], path);
    command.arg("-c").arg(file);
    let program = Program::start(lab, name, command, Ready::Tcp(AQUATIC));
    Ok(Contender::started(lab, name, &url(AQUATIC), program)?
        .with_version(lab.peers.version(Peer::AquaticHttp)))
}

/// A route whose responses are as long as the tracker's are in the middle, headers and all.
fn equal_route(lab: &Lab, namespace: &Namespace, load: &Load, riptide: &mut Contender) -> Result<Program> {
    /// Longer than the dictionary that the route cannot do without.
    const SOME: u32 = 200;
    let short = Load { duration: Duration::from_secs(1), ..load.clone() };
    let step = lab.progress.begin("HTTP, how long Riptide's replies are");
    let ours = riptide.turn(lab, namespace, &short)?.mean_reply();
    let ours = ours.ok_or_else(|| anyhow!("Riptide answered nothing"))?;
    step.end(&format!("{ours:.0} bytes"));
    let step = lab.progress.begin("HTTP, how long the route's are");
    let mut probe = Contender::started(
        lab,
        "do-nothing axum route",
        &url(ROUTE),
        route(lab, namespace, &SOME.to_string()),
    )?;
    let theirs = probe.turn(lab, namespace, &short)?.mean_reply();
    let theirs = theirs.ok_or_else(|| anyhow!("the route answered nothing"))?;
    drop(probe);
    let length = equal_length(SOME, theirs, ours);
    step.end(&format!("{theirs:.0} bytes with a body of {SOME}: {length}"));
    route(lab, namespace, &length).context("cannot start the route again")
}

/// The length of a body with which responses are as long as `ours`, if they are as long as `theirs` with one of `body`.
fn equal_length(body: u32, theirs: f64, ours: f64) -> String {
    format!("{:.0}", (f64::from(body) + ours - theirs).max(0.0))
}

fn route(lab: &Lab, namespace: &Namespace, length: &str) -> Result<Program> {
    let mut command = namespace.command(&[lab.cpus.tracker], &lab.example("nothing_http"));
    command.arg(format!("127.0.0.1:{ROUTE}")).arg(length);
    Program::start(lab, "do-nothing axum route", command, Ready::Tcp(ROUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_become_equally_long() {
        // 131 bytes of headers around a body of 200; ours have 331 in all, theirs need a body of 200 as well.
        assert_eq!(equal_length(200, 331.0, 331.2), "200");
        assert_eq!(equal_length(200, 331.0, 400.6), "270");
        assert_eq!(equal_length(200, 331.0, 50.0), "0");
    }
}
