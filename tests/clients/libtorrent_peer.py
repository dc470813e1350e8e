"""One libtorrent client that knows no other way to find peers than the torrent's tracker.

Usage: libtorrent_peer.py TORRENT DIRECTORY LISTEN [PERIOD]
Runs until it is killed. With a PERIOD it announces every so many seconds, whatever the tracker says of it.
"""

import sys
import time

import libtorrent


def main():
    torrent, directory, listen = sys.argv[1:4]
    period = float(sys.argv[4]) if len(sys.argv) > 4 else float("inf")
    session = libtorrent.session(
        {
            "listen_interfaces": listen,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "allow_multiple_connections_per_ip": True,
            # The addresses of a test are private.
            "announce_to_all_trackers": True,
            "alert_mask": libtorrent.alert.category_t.error_notification
            | libtorrent.alert.category_t.tracker_notification
            | libtorrent.alert.category_t.status_notification,
        }
    )
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(torrent)
    parameters.save_path = directory
    parameters.flags |= libtorrent.torrent_flags.disable_dht
    parameters.flags |= libtorrent.torrent_flags.disable_lsd
    parameters.flags |= libtorrent.torrent_flags.disable_pex
    handle = session.add_torrent(parameters)
    due = time.monotonic() + period
    while True:
        if time.monotonic() >= due:
            handle.force_reannounce(0, -1, libtorrent.reannounce_flags_t.ignore_min_interval)
            due = time.monotonic() + period
        # Not wait_for_alert: it looks at the first alert while the session's thread may move it, and that crashes.
        for alert in session.pop_alerts():
            print(type(alert).__name__, alert, flush=True)
        time.sleep(0.05)


main()
