"""Access: who may see and steer the daemon.

Three questions are asked of every request, in this order:

1. **Is it meant for us?** The Host header must be an IP address, this machine's own name or one of `names`. A page
   of somebody else's whose DNS name was turned to our address ("rebinding") names its own host, and is refused.
2. **Does another page send it?** Whatever changes something, and the WebSocket, is refused when Origin or
   Sec-Fetch-Site say that it comes from another site; no cookie crosses sites (SameSite=Strict).
3. **Who asks?** Where there is a token: `Authorization: Bearer TOKEN`, or the cookie that the login page hands out. The
   cookie is not the token but the time it ends and an HMAC of that under a key derived from the token (RFC 2104), so
   nothing is stored, it survives a restart of the daemon, and a new token ends every session.

All comparisons of secrets take constant time, and a wrong token is answered late. A token has at least 16 characters,
so guessing needs no further bar, which could itself be used to shut others out.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import time
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from nrt.daemon.web.settings import Settings

COOKIE: Final = "nrt_session"
DAYS: Final = 30
"""How long a login lasts."""
LATE: Final = 0.5
"""Seconds until a wrong token is answered."""


class Access:
    """The rules of one server."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token_file.reveal().encode() if settings.token_file is not None else b""
        self._key = hmac.digest(self._token, b"nrt dashboard session", "sha256")
        own = socket.gethostname()
        names = ("localhost", own, f"{own}.local", settings.host, *settings.names)
        self._names = {name.lower() for name in names}
        self._secure = settings.certificate_file is not None

    def is_ours(self, request: web.BaseRequest) -> bool:
        """Whether the Host header names this machine."""
        name = host_name(request.headers.get("Host", ""))
        return name in self._names or is_address(name)

    def crosses(self, request: web.BaseRequest) -> bool:
        """Whether a page of another site sent the request."""
        if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            return True
        origin = request.headers.get("Origin")
        return (
            origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower()
        )

    def knows(self, request: web.BaseRequest) -> bool:
        """Whether the request carries the token or a session's cookie; true where none is asked for."""
        if not self._token:
            return True
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._tried(given.strip())
        return self._holds(request.cookies.get(COOKIE, ""))

    def login(self, response: web.StreamResponse, given: str) -> bool:
        """Sets the cookie if `given` is the token."""
        if not self._tried(given):
            return False
        ends = str(int(time.time()) + DAYS * 86_400)
        response.set_cookie(
            COOKIE,
            f"{ends}.{self._sign(ends)}",
            max_age=DAYS * 86_400,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )
        return True

    def _tried(self, given: str) -> bool:
        return hmac.compare_digest(digest(given.encode()), digest(self._token))

    def _holds(self, cookie: str) -> bool:
        ends, _, signature = cookie.partition(".")
        if not (ends.isascii() and ends.isdigit() and len(ends) < 16 and signature.isascii()):
            return False
        genuine = hmac.compare_digest(signature, self._sign(ends))
        return genuine and int(ends) > time.time()

    def _sign(self, ends: str) -> str:
        return hmac.new(self._key, ends.encode(), "sha256").hexdigest()


def digest(secret: bytes) -> bytes:
    """A hash to compare by, so that not even a length shows in the time it takes."""
    return hashlib.sha256(secret).digest()


def host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets; "" for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether `name` is an IP address: nobody can turn that to another machine by DNS."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
