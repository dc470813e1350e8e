//! Screens, written by hand, of a tracker that has been read four times.

use super::*;
use crate::top::{app::Wish, exposition::parse, reading::Reading};
use ratatui::{Terminal, backend::TestBackend, style::Modifier};
use std::time::Duration;

const LOOK: Look = Look { unicode: true, colours: true };
const SECOND: Duration = Duration::from_secs(1);
/// When the tracker started, seconds since 1970.
const STARTED: f64 = 1_000.0;

/// What it says at first, and a second later each.
fn scrape(step: usize) -> Reading {
    let connects = [0, 100, 200, 400][step];
    let announces = [0, 1_000, 3_000, 7_000][step];
    let http = [0, 0, 0, 7][step];
    let malformed = [0, 0, 3, 3][step];
    let received = [0, 1_024, 2_048, 4_096][step];
    let busy = [0.0, 0.1, 0.2, 0.7][step];
    let qbittorrent = 61 * step;
    let text = format!(
        r#"
riptide_build_info{{version="0.1.0",commit="abc1234"}} 1
process_start_time_seconds {STARTED}
riptide_ready 1
riptide_udp_requests_total{{path="kernel",action="connect",family="ipv4"}} {connects}
riptide_udp_requests_total{{path="xsk",action="announce",family="ipv4"}} {announces}
riptide_udp_requests_total{{path="socket",action="scrape",family="ipv6"}} 5
riptide_udp_received_bytes_total{{path="xsk",family="ipv4"}} {received}
riptide_udp_sent_bytes_total{{path="xsk",family="ipv4"}} 0
riptide_udp_dropped_total{{path="kernel",reason="malformed"}} {malformed}
riptide_udp_dropped_total{{path="socket",reason="bad_connection_id"}} 0
riptide_http_requests_total{{action="announce",family="ipv4",outcome="ok"}} {http}
riptide_http_requests_total{{action="other",family="ipv4",outcome="rejected"}} 2
riptide_torrents 12
riptide_peers{{family="ipv4",role="seeder"}} 600
riptide_peers{{family="ipv4",role="leecher"}} 300
riptide_peers{{family="ipv6",role="seeder"}} 100
riptide_peers{{family="ipv6",role="leecher"}} 0
riptide_peers_limit 4000
process_resident_memory_bytes 536870912
riptide_memory_limit_bytes 2147483648
riptide_announce_interval_seconds 1800
riptide_pressure_ratio 0
riptide_xdp_info{{interface="eth0",mode="native",bind="zerocopy"}} 1
riptide_xsk_frames{{interface="eth0",queue="0",place="free"}} 1000
riptide_xsk_frames{{interface="eth0",queue="0",place="fill"}} 2048
riptide_xsk_frames{{interface="eth0",queue="0",place="rx"}} 24
riptide_xsk_umem_frames{{interface="eth0",queue="0"}} 4096
riptide_worker_busy_seconds_total{{serves="udp",worker="0"}} {busy}
riptide_worker_busy_seconds_total{{serves="http",worker="0"}} 0
riptide_client_announces_total{{client="qBittorrent"}} {qbittorrent}
riptide_client_announces_total{{client="other"}} 5
"#
    );
    Reading::of(&parse(&text).unwrap()).unwrap()
}

fn read() -> (App, Moment) {
    let begin = Instant::now();
    let mut app = App::new("127.0.0.1:9000".to_owned(), SECOND);
    for step in 0..4 {
        app.take(Ok(scrape(step)), begin + SECOND * step as u32);
    }
    (app, Moment { now: begin + 3 * SECOND, wall: STARTED + 90_061.0 })
}

fn drawn(app: &App, moment: Moment, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), app, LOOK, moment)).unwrap();
    terminal
}

fn rows(app: &App, moment: Moment, width: u16, height: u16) -> Vec<String> {
    let terminal = drawn(app, moment, width, height);
    let cells = terminal.backend().buffer().content().chunks(width.into());
    let rows = cells.map(|cells| cells.iter().map(Cell::symbol).collect::<String>());
    rows.map(|row| row.trim_end().to_owned()).collect()
}

#[test]
fn twenty_columns_have_what_matters_most() {
    let (app, moment) = read();
    drawn(&app, moment, 20, 6).backend().assert_buffer(&unstyled([
        "riptide 0.1.0  ready",
        "all        4.21k ▃▅█",
        "dropped        0 ▁█▁",
        "peers      1.00k 25%",
        "memory   512 MiB 25%",
        "q quit  ? help      ",
    ]));
}

/// These lines with the styles of [`twenty_columns_have_what_matters_most`].
fn unstyled(lines: [&'static str; 6]) -> Buffer {
    let mut buffer = Buffer::with_lines(lines);
    buffer.set_style(Rect::new(0, 0, 13, 1), Style::new().bold());
    buffer.set_style(Rect::new(15, 0, 5, 1), LOOK.good());
    buffer.set_style(Rect::new(8, 2, 8, 1), Style::new().dim());
    buffer.set_style(Rect::new(17, 1, 3, 2), Style::new().cyan());
    for (x, length) in [(0, 6), (8, 6)] {
        buffer.set_style(Rect::new(x, 5, length, 1), Style::new().dim());
    }
    buffer
}

#[test]
fn a_usual_terminal_has_all_panels() {
    let (app, moment) = read();
    let left = [
        "a second                        last 3s",
        "all            4.21k                ▃▅█",
        "kernel           200                ▅▅█",
        "xsk            4.00k                ▃▅█",
        "socket             0                ▁▁▁",
        "http               7                ▁▁█",
        "connect          200                ▅▅█",
        "announce       4.01k                ▃▅█",
        "scrape             0                ▁▁▁",
        "dropped            0                ▁█▁",
        "in          2.00 KiB                ▅▅█",
        "out              0 B                ▁▁▁",
        "",
        "dropped, refused              /s  total",
        "kernel malformed               0      3",
        "http rejected                  0      2",
        "",
        "",
        "",
        "",
    ];
    let right = [
        "room",
        "peers          1.00k of 4.00k     25%",
        "memory       512 MiB of 2.00 GiB  25%",
        "",
        "swarms       seeders leechers",
        "ipv4             600      300",
        "ipv6             100        0",
        "torrents          12",
        "",
        "workers                            busy",
        "udp 0            50% █████████░░░░░░░░░",
        "http 0            0% ░░░░░░░░░░░░░░░░░░",
        "",
        "queues           frames in use, waiting",
        "eth0 0           26% rx 24 tx 0",
        "",
        "clients                       /s  total",
        "qBittorrent                   61    183",
        "other                          0      5",
        "",
    ];
    let mut expected = vec![
        "riptide 0.1.0  ready  127.0.0.1:9000  up 1d 1h  abc1234".to_owned(),
        "XDP eth0 native zerocopy  interval 30m  pressure 0%".to_owned(),
        String::new(),
    ];
    expected.extend(
        left.iter().zip(right).map(|(left, right)| format!("{left:39}  {right}").trim_end().to_owned()),
    );
    expected.push("q quit  ? help  p pause  s by rate  +/- every 1s".to_owned());
    assert_eq!(rows(&app, moment, 80, 24), expected);
    // The same as text, which ends where there is no more.
    let text = text(&app, LOOK, moment, 80);
    assert_eq!(text.lines().collect::<Vec<_>>(), expected[..22]);
    assert!(text.ends_with("5\n"), "{text}");
}

#[test]
fn a_wide_terminal_has_three_columns_and_bars() {
    let (app, moment) = read();
    let rows = rows(&app, moment, 160, 30);
    assert!(
        rows[3].starts_with("a second")
            && rows[3].contains("  room  ")
            && rows[3].contains("dropped, refused")
    );
    let peers = rows.iter().find(|row| row.contains("peers   ")).unwrap();
    assert!(peers.contains("of 4.00k     25% ██"), "{peers}");
}

#[test]
fn a_node_shows_its_cluster() {
    let begin = Instant::now();
    let mut app = App::new("127.0.0.1:9000".to_owned(), SECOND);
    let take = |app: &mut App, step: u32, connected: u8| {
        let text = format!(
            "riptide_build_info 1\nriptide_cluster_nodes 3\nriptide_cluster_lag_seconds 0.25\n\
             riptide_cluster_connected {connected}\nriptide_cluster_joined 1\nriptide_cluster_cut_off_nodes 0\n\
             riptide_cluster_changes_total{{direction=\"in\"}} {}\nriptide_cluster_lost_batches_total 2\n",
            20 * step
        );
        app.take(Ok(Reading::of(&parse(&text).unwrap()).unwrap()), begin + SECOND * step);
    };
    take(&mut app, 0, 1);
    take(&mut app, 1, 1);
    let panel = |app: &App| {
        let panel = panels::cluster(app.latest.as_ref().unwrap(), LOOK, 39);
        panel.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        panel(&app),
        [
            "cluster",
            "nodes              3 connected",
            "lag             0.2s ",
            "in                20 changes a second",
            "lost               2 batches"
        ]
    );
    take(&mut app, 2, 0);
    assert_eq!(panel(&app)[1], "nodes              3 no NATS: alone");
}

#[test]
fn a_tracker_that_is_gone_is_told_with_what_was_last() {
    let (mut app, mut moment) = read();
    app.take(Err("127.0.0.1:9000 cannot be reached: Connection refused".to_owned()), moment.now + SECOND);
    moment.now += 12 * SECOND;
    let rows = rows(&app, moment, 40, 10);
    assert_eq!(
        rows,
        [
            "riptide 0.1.0  no answer  127.0.0.1:9000",
            "last reading 12s ago: 127.0.0.1:9000",
            "cannot be reached: Connection refused.",
            "Trying every 1s.",
            "all                -                ▃▅█",
            "dropped            -                ▁█▁",
            "peers          1.00k of 4.00k     25%",
            "memory       512 MiB of 2.00 GiB  25%",
            "",
            "q quit  ? help  p pause  s by rate",
        ]
    );
    let terminal = drawn(&app, moment, 40, 10);
    let cell = terminal.backend().buffer().cell((0, 6)).unwrap();
    assert!(cell.modifier.contains(Modifier::DIM), "what is old is dim");
    let cell = terminal.backend().buffer().cell((0, 1)).unwrap();
    assert!(cell.modifier.contains(Modifier::BOLD) && !cell.modifier.contains(Modifier::DIM));
    // Twenty columns have the beginning of it.
    let rows = self::rows(&app, moment, 20, 6);
    assert_eq!(rows[..3], ["riptide 0.1.0", "last reading 12s", "ago: 127.0.0.1:9000"]);
}

#[test]
fn a_tracker_that_never_answered_is_told() {
    let mut app = App::new("127.0.0.1:1".to_owned(), 2 * SECOND);
    let moment = Moment { now: Instant::now(), wall: 0.0 };
    assert_eq!(
        rows(&app, moment, 40, 3),
        ["riptide  asking  127.0.0.1:1", "", "q quit  ? help  p pause  s by rate"]
    );
    app.take(Err("nobody is there".to_owned()), moment.now);
    assert_eq!(
        rows(&app, moment, 40, 4),
        [
            "riptide  no answer  127.0.0.1:1",
            "no reading yet: nobody is there. Trying",
            "every 2s.",
            "q quit  ? help  p pause  s by rate"
        ]
    );
}

#[test]
fn keys_are_seen() {
    let (mut app, moment) = read();
    for wish in [Wish::Sort, Wish::Pause, Wish::Slower] {
        assert!(app.obey(wish));
    }
    let seen = rows(&app, moment, 80, 24);
    assert!(seen[0].starts_with("riptide 0.1.0  paused  "), "{}", seen[0]);
    assert_eq!(seen[23], "q quit  ? help  p go on  s by total  +/- every 2s");
    assert!(app.obey(Wish::Help));
    let seen = rows(&app, moment, 80, 24);
    assert_eq!(seen[3], "q Esc ^C  end");
    assert!(seen.iter().any(|row| row.starts_with("xsk       through AF_XDP")), "{seen:?}");
}

#[test]
fn tables_follow_the_order_that_is_wanted() {
    let (mut app, moment) = read();
    if let Some(latest) = &mut app.latest {
        let more = Reading::of(
            &parse("riptide_build_info 1\nriptide_client_announces_total{client=\"aria2\"} 900\n").unwrap(),
        );
        latest.reading.counts.extend(more.unwrap().counts);
    }
    let clients = |app: &App| {
        let rows = rows(app, moment, 20, 100);
        let at = rows.iter().position(|row| row.starts_with("clients")).unwrap();
        rows[at..at + 4].to_vec()
    };
    assert_eq!(
        clients(&app),
        ["clients           /s", "qBittorrent       61", "other              0", "aria2              -"]
    );
    assert!(app.obey(Wish::Sort));
    assert_eq!(
        clients(&app),
        ["clients        total", "aria2            900", "qBittorrent      183", "other              5"]
    );
    assert!(app.obey(Wish::Sort));
    assert_eq!(clients(&app)[1..], ["aria2              -", "other              0", "qBittorrent       61"]);
}

#[test]
fn many_threads_and_queues_are_shown_by_the_busiest() {
    let scrape = |busy: f64| {
        let mut text = "riptide_build_info 1\n".to_owned();
        for n in 0..8 {
            let busy = busy * f64::from(n) / 7.0;
            text += &format!(
                "riptide_worker_busy_seconds_total{{serves=\"udp\",worker=\"{n}\"}} {busy}\n\
                 riptide_xsk_umem_frames{{interface=\"a_long_name\",queue=\"{n}\"}} 100\n\
                 riptide_xsk_frames{{interface=\"a_long_name\",queue=\"{n}\",place=\"free\"}} {}\n",
                100 - n
            );
        }
        Reading::of(&parse(&text).unwrap()).unwrap()
    };
    let now = Instant::now();
    let mut app = App::new(String::new(), SECOND);
    app.take(Ok(scrape(0.0)), now);
    app.take(Ok(scrape(0.9)), now + SECOND);
    let rows = rows(&app, Moment { now, wall: 0.0 }, 40, 60);
    let row = |begin: &str| rows.iter().find(|row| row.starts_with(begin)).cloned().unwrap_or_default();
    assert_eq!(row("udp"), "udp x8           45% ████░░░░░ most  90%");
    assert_eq!(row("a_long_na"), "a_long_na 7       7% rx 0 tx 0");
}

#[test]
fn no_size_and_no_number_is_too_much() {
    let (mut app, moment) = read();
    let odd = ["NaN", "+Inf", "-Inf", "-1", "1e300", "0"];
    let names = [
        "riptide_peers_limit",
        "process_resident_memory_bytes",
        "riptide_memory_limit_bytes",
        "process_start_time_seconds",
        "riptide_announce_interval_seconds",
        "riptide_pressure_ratio",
        "riptide_peers",
        "riptide_udp_requests_total",
        "riptide_xsk_umem_frames{queue=\"0\"}",
        "riptide_worker_busy_seconds_total{worker=\"0\"}",
    ];
    let mut now = moment.now;
    for value in odd.iter().chain(&odd) {
        let text: String = names.map(|name| format!("{name} {value}\n")).concat() + "riptide_build_info 1\n";
        now += SECOND;
        app.take(Ok(Reading::of(&parse(&text).unwrap()).unwrap()), now);
        for (width, height) in [(20, 6), (80, 24), (200, 50)] {
            rows(&app, moment, width, height);
        }
    }
    let (good, _) = read();
    let mut gone = good.clone();
    gone.take(Err("x".repeat(100)), moment.now);
    let mut helping = good.clone();
    helping.help = true;
    for app in [&good, &gone, &helping, &App::new("a".repeat(100), SECOND)] {
        for width in (0..45).chain([59, 60, 61, 119, 120, 300]) {
            for height in (0..20).chain([100]) {
                let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
                draw(&mut buffer, app, LOOK, moment);
            }
        }
    }
}
