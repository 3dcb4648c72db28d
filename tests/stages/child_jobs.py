"""Jobs for the tests of the decode child: each misbehaves in one way."""

import ctypes
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.errors import RowError


def echo(limits: Any, **arguments: Any) -> pa.Table:
    return pa.table({name: [value] for name, value in arguments.items()})


def refuse(limits: Any) -> pa.Table:
    raise RowError("truncated", "3 of 9 frames")


def shout(limits: Any) -> pa.Table:
    print("printed by a library", flush=True)
    os.write(1, b"written to fd 1")
    return pa.table({"ok": [True]})


def babble(limits: Any) -> pa.Table:
    while True:
        os.write(2, b"warning: " * 100)


def sleep(limits: Any) -> pa.Table:
    time.sleep(60)
    return pa.table({})


def crash(limits: Any) -> pa.Table:
    ctypes.string_at(0)
    return pa.table({})


def leave(limits: Any) -> pa.Table:
    os._exit(7)


def hoard(limits: Any) -> pa.Table:
    held = []
    while True:
        held.append(bytearray(64 << 20))


def reach_out(limits: Any) -> pa.Table:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return pa.table({"reached": [bool(socket.create_connection(server.getsockname(), timeout=2))]})


def write_file(limits: Any, *, path: str) -> pa.Table:
    Path(path).write_bytes(b"x")
    return pa.table({})


def remove_file(limits: Any, *, path: str) -> pa.Table:
    Path(path).unlink()
    return pa.table({})


def run_program(limits: Any, *, path: str) -> pa.Table:
    os.execv(path, [path, "-c", "raise SystemExit(0)"])


def modules(limits: Any) -> pa.Table:
    return pa.table({"name": list(sys.modules)})
