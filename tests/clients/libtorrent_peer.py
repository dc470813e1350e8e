"""One libtorrent client that knows no other way to find peers than the torrent's tracker.

Usage: libtorrent_peer.py TORRENT DIRECTORY LISTEN
Runs until it is killed.
"""

import sys
import time

import libtorrent


def main():
    torrent, directory, listen = sys.argv[1:]
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
    session.add_torrent(parameters)
    while True:
        # Not wait_for_alert: it looks at the first alert while the session's thread may move it, and that crashes.
        for alert in session.pop_alerts():
            print(alert, flush=True)
        time.sleep(0.05)


main()
