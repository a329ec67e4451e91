"""A Modbus TCP server by libmodbus: its registers hold their address, its bits the lowest bit of theirs.

``python -m tests.simulators.libmodbus_server`` prints its port, and serves one client after the other until it is
ended.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from ctypes.util import find_library

SIZE = 2500
FRAME = 260


class Mapping(ctypes.Structure):
    """``modbus_mapping_t`` of libmodbus 3.1."""

    _fields_ = [
        *((name, ctypes.c_int) for kind in ("bits", "input_bits", "input_registers", "registers")
          for name in (f"nb_{kind}", f"start_{kind}")),
        *((f"tab_{kind}", ctypes.POINTER(ctypes.c_uint8)) for kind in ("bits", "input_bits")),
        *((f"tab_{kind}", ctypes.POINTER(ctypes.c_uint16)) for kind in ("input_registers", "registers")),
    ]  # fmt: skip


def serve() -> None:
    """Listen on a free port of loopback."""
    library = ctypes.CDLL(find_library("modbus"), use_errno=True)
    library.modbus_new_tcp.restype = ctypes.c_void_p
    library.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    context = ctypes.c_void_p(library.modbus_new_tcp(b"127.0.0.1", 0))
    mapping = library.modbus_mapping_new(SIZE, SIZE, SIZE, SIZE)
    for n in range(SIZE):
        mapping.contents.tab_registers[n] = n
        mapping.contents.tab_input_registers[n] = 0xFFFF - n
        mapping.contents.tab_bits[n] = n & 1
        mapping.contents.tab_input_bits[n] = 1 - (n & 1)
    listener = ctypes.c_int(library.modbus_tcp_listen(context, 1))
    with socket.socket(fileno=listener.value) as bound:
        sys.stdout.write(f"{bound.getsockname()[1]}\n")
        sys.stdout.flush()
        request = (ctypes.c_uint8 * FRAME)()
        while library.modbus_tcp_accept(context, ctypes.byref(listener)) >= 0:
            while (length := library.modbus_receive(context, request)) >= 0:
                library.modbus_reply(context, request, length, mapping)
            library.modbus_close(context)


if __name__ == "__main__":
    serve()
