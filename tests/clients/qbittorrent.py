"""One qBittorrent that knows no other way to find peers than the torrent's tracker.

Usage: qbittorrent.py TORRENT DIRECTORY PROFILE ADDRESS
Prints what it shows its user of the tracker, whenever that changes. Runs until it is killed, and qBittorrent with it.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

PR_SET_PDEATHSIG = 1
PAGE = "http://127.0.0.1:8080/api/v2/torrents"
SETTINGS = """[LegalNotice]
Accepted=true

[BitTorrent]
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
Session\\Port=6881
Session\\MultiConnectionsPerIp=true
Session\\InterfaceAddress=ADDRESS

[Network]
PortForwardingEnabled=false

[Preferences]
WebUI\\Address=127.0.0.1
WebUI\\Port=8080
WebUI\\LocalHostAuth=false
"""


def ask(what):
    # A proxy of the environment has no part in this.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{PAGE}/{what}", timeout=5) as reply:
        return json.load(reply)


def shown():
    trackers = [tracker for torrent in ask("info") for tracker in ask("trackers?hash=" + torrent["hash"])]
    return [
        f"{tracker['url']} status {tracker['status']}: {tracker['msg']}"
        for tracker in trackers
        if "://" in tracker["url"]
    ]


def main():
    torrent, directory, profile, address = sys.argv[1:]
    settings = os.path.join(profile, "qBittorrent", "config", "qBittorrent.conf")
    os.makedirs(os.path.dirname(settings))
    with open(settings, "w", encoding="utf-8") as file:
        # From an address that cannot reach the tracker it would announce in vain, and show that.
        file.write(SETTINGS.replace("ADDRESS", address))
    libc = ctypes.CDLL(None)
    child = subprocess.Popen(
        ["qbittorrent-nox", f"--profile={profile}", f"--save-path={directory}", "--skip-dialog=true", torrent],
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    before = None
    while child.poll() is None:
        try:
            now = shown()
        except (urllib.error.URLError, OSError):
            now = before  # it is not there yet
        if now != before:
            print("\n".join(now), flush=True)
            before = now
        time.sleep(0.2)
    sys.exit(f"qbittorrent-nox ended with {child.returncode}")


main()
