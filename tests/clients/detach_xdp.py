"""Detaches the link of the XDP program with this ID, as an operator may with bpftool: detach_xdp.py PROGRAM_ID"""

import ctypes
import struct
import sys

BPF = 321  # the system call, on x86-64
OBJ_GET_INFO_BY_FD, LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID, LINK_DETACH = 15, 30, 31, 34

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}")
    return result, buffer.raw


def links():
    number = 0
    while True:
        try:
            _, answer = bpf(LINK_GET_NEXT_ID, struct.pack("I", number))
        except OSError:
            return
        number = struct.unpack_from("I", answer, 4)[0]
        try:
            yield bpf(LINK_GET_FD_BY_ID, struct.pack("I", number))[0]
        except OSError:
            pass  # gone meanwhile


wanted = int(sys.argv[1])
for link in links():
    info = ctypes.create_string_buffer(128)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("IIQ", link, 128, ctypes.addressof(info)))
    if struct.unpack_from("III", info.raw)[2] == wanted:
        bpf(LINK_DETACH, struct.pack("I", link))
        sys.exit(0)
sys.exit(f"no link has program {wanted}")
