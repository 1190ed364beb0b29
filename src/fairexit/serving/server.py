"""The server: uvicorn on a socket of our own, with limits on slow clients."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from fairexit.errors import UserError, option, reason, short
from fairexit.serving.access import is_loopback

HEADER_SECONDS = 10.0
"""Time in which the headers of a request must have arrived."""

IDLE_SECONDS = 5
"""Time after which a connection without a request is closed."""

CONNECTIONS = 512
"""Connections at a time."""

SHUTDOWN_SECONDS = 10
"""Time in which requests under way may end after the signal to stop."""


def listen(host: str, port: int, token: str | None) -> socket.socket:
    """A socket that listens, before anything slow is loaded.

    Args:
        host: name or address of the interface.
        port: 0 takes any that is free.
        token: the token; None if there is none.
    Raises:
        UserError: others could reach the server without a token, the token cannot be sent, or the
            address cannot be used.
    """
    if token is None and not is_loopback(host):
        raise UserError(
            f"{option('host')} is '{short(host)}', which others can reach; set a {option('token')}"
        )
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise UserError(f"{option('token')} must be of printable ASCII without blanks")
    if token == "":
        raise UserError(f"{option('token')} is empty")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(f"{option('host')} is '{short(host)}': {reason(error)}") from None
    except OSError as error:
        text = os.strerror(error.errno or 0)
        raise UserError(
            f"cannot listen on {short(host)}, port {port}: {text}; choose another "
            f"{option('port')} or {option('host')}"
        ) from None


def address(listening: socket.socket) -> str:
    """The address of a socket as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(app: FastAPI, listening: socket.socket, on_start: Callable[[], None]) -> None:
    """Serve an application until SIGINT or SIGTERM, then end what is under way.

    Args:
        app: the application.
        listening: the socket.
        on_start: is called once requests are answered and signals stop the server.
    """
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        limit_concurrency=CONNECTIONS,
    )
    _Server(config, on_start).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that ends normally when it is told to stop; uvicorn would raise the signal again."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        def stop(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, stop) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


class _Protocol(H11Protocol):
    """Closes a connection on which the headers of a request do not arrive in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._last: Any = self.cycle
        self._watch = self.loop.call_later(HEADER_SECONDS, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def _check(self) -> None:
        """Close the connection if it has waited for the same request since the last check."""
        is_waiting = self.conn.their_state is h11.IDLE
        if is_waiting and self._last is self.cycle:
            self.transport.close()
            return
        self._last = self.cycle if is_waiting else self
        self._watch = self.loop.call_later(HEADER_SECONDS, self._check)
