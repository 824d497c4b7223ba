"""Give a socket a filter in the kernel, in the classic language of bpf (linux/bpf_common.h, socket(7))."""

from __future__ import annotations

import ctypes
import socket
import struct

LOAD_WORD, LOAD_HALF, LOAD_BYTE, EQUAL, RETURN = 0x20, 0x28, 0x30, 0x15, 0x06
LOAD_HALF_BEHIND, LOAD_BYTE_BEHIND, HEADER_LENGTH = 0x48, 0x50, 0xB1
"""The first two load from behind the header of IPv4, whose length the third one takes."""

_SO_ATTACH_FILTER = 26


def instruction(code: int, if_true: int, if_false: int, operand: int) -> bytes:
    """Return one instruction, a struct sock_filter; the jumps count the instructions that are passed over."""
    return struct.pack("=HBBI", code, if_true, if_false, operand)


def attach(sock: socket.socket, code: bytes) -> None:
    """Give the socket its filter: a struct sock_fprog, which points to the program.  Raises OSError."""
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(code) // 8, ctypes.addressof(buffer)))
