"""Has the kernel refuse every further change that user space makes to this map: freeze_map.py MAP_ID"""

import ctypes
import struct
import sys

BPF = 321  # the system call, on x86-64
MAP_GET_FD_BY_ID, MAP_FREEZE = 14, 22

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, number):
    buffer = ctypes.create_string_buffer(struct.pack("I", number).ljust(128, b"\0"), 128)
    result = libc.syscall(BPF, command, buffer, 128)
    if result < 0:
        sys.exit(f"bpf command {command}: error {ctypes.get_errno()}")
    return result


bpf(MAP_FREEZE, bpf(MAP_GET_FD_BY_ID, int(sys.argv[1])))
