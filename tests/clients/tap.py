"""Prints every frame that an interface receives, as a line of hexadecimal, VLAN tags where they were on the wire.

Usage: tap.py INTERFACE
The kernel takes a frame's outer tag away before any socket sees it and tells it beside the frame: PACKET_AUXDATA.
"""

import socket
import struct
import sys

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6
AUXDATA = struct.Struct("=IIIHHHH")


def main():
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.bind((sys.argv[1], ETH_P_ALL))
    tap.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    print("listening", flush=True)
    while True:
        frame, beside, _, address = tap.recvmsg(65536, socket.CMSG_SPACE(AUXDATA.size))
        if address[2] == PACKET_OUTGOING:
            continue
        for level, kind, data in beside:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = AUXDATA.unpack(data[: AUXDATA.size])
                if status & TP_STATUS_VLAN_VALID:
                    tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                    frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        print(frame.hex(), flush=True)


main()
