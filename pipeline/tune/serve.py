"""Starting the tuning page: a socket on loopback, a token, an address to open."""

from __future__ import annotations

import secrets
import socket

import uvicorn

from manifests.errors import RecipeError
from pipeline.tune.app import Desk, app

HOST = "127.0.0.1"


def bound(port: int) -> socket.socket:
    """A socket on loopback; port 0 takes a free one. Raises RecipeError for one that is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise RecipeError(
            f"port {port} cannot be taken ({error.strerror}); name another with --port"
        ) from error
    return listener


def serve(desk: Desk, listener: socket.socket, token: str = "") -> None:
    """Serve until interrupted; prints the address first. Reached from elsewhere by a tunnel
    (`ssh -L 8787:127.0.0.1:8787 host`)."""
    desk.session(None)
    token = token or secrets.token_urlsafe(16)
    port = listener.getsockname()[1]
    writes = f"saves to {desk.target}" if desk.target else "reads only (--save FILE lets it write)"
    print(f"http://{HOST}:{port}/?t={token}\n{writes}; ctrl-c ends it", flush=True)
    config = uvicorn.Config(app(desk, token), log_level="warning", access_log=False)
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
