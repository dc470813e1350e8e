"""Writes a file of pseudo-random bytes and a torrent of it.

Usage: make_torrent.py DIRECTORY NAME SIZE SEED ANNOUNCE_URL
Leaves DIRECTORY/NAME and DIRECTORY/NAME.torrent.
"""

import hashlib
import os
import random
import sys

PIECE = 16384


def bencode(value):
    """Bencodes integers, bytes and dictionaries."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(k) + bencode(value[k]) for k in sorted(value)) + b"e"
    raise TypeError(type(value))


def main():
    directory, name, size, seed, url = sys.argv[1:]
    data = random.Random(int(seed)).randbytes(int(size))
    pieces = b"".join(hashlib.sha1(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE))
    info = {b"length": len(data), b"name": name.encode(), b"piece length": PIECE, b"pieces": pieces}
    with open(os.path.join(directory, name), "wb") as file:
        file.write(data)
    with open(os.path.join(directory, name + ".torrent"), "wb") as file:
        file.write(bencode({b"announce": url.encode(), b"info": info}))


main()
