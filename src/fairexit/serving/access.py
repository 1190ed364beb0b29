"""Who may ask, and the headers of every response."""

import hmac
import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = ("/", "/health")
"""Paths that need no token: the page, which knows nothing of the model, and the state."""

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Access:
    """Middleware that asks for the token before a body is read, and adds headers to responses.

    Without a token only a loopback name is accepted as `Host`, so that no page of another site
    can reach the server under a name of its own (DNS rebinding).

    Args:
        app: the application.
        token: what `Authorization: Bearer` must hold; None: no token is asked for.
        policy: the Content-Security-Policy.
    """

    def __init__(self, app: ASGIApp, token: str | None, policy: str) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._headers = {**HEADERS, "Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """The response to a request that may not be answered."""
        if self._token is None:
            host = Headers(scope=scope).get("host", "")
            if is_loopback(_without_port(host)):
                return None
            detail = "without a token only requests to localhost are answered"
            return _refuse(403, detail)
        if scope["path"] in OPEN_PATHS or _has_token(scope["headers"], self._token):
            return None
        detail = "this server asks for a token: send 'Authorization: Bearer TOKEN'"
        return _refuse(401, detail, {"WWW-Authenticate": "Bearer"})


def _refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    # The body of the request is not read.
    return JSONResponse({"detail": detail}, status, {**(headers or {}), "Connection": "close"})


def _has_token(headers: Sequence[tuple[bytes, bytes]], token: bytes) -> bool:
    """Whether the headers hold the token; the comparison takes the same time for any other."""
    values = [value for name, value in headers if name == b"authorization"]
    kind, _, given = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), token)


def _without_port(host: str) -> str:
    """The name in a `Host` header."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a name or address can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
