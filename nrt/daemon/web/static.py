"""The files of the dashboard, read once from the package: a path that is not in the table does not exist."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import Final

from aiohttp import web

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_SCRIPTS: Final = (
    "main",
    "link",
    "frame",
    "picture",
    "raster",
    "chart",
    "figures",
    "placement",
    "controls",
    "lists",
    "text",
)
PATHS: Final = ("/style.css", "/icon.svg", *(f"/{name}.js" for name in _SCRIPTS))


async def serve(request: web.Request) -> web.StreamResponse:
    """One of `PATHS`. Kept by browsers, but asked for anew: a daemon of another version has other files."""
    body, tag = read(request.path[1:])
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers, content_type=_kind(request.path), charset="utf-8")


def page(name: str, status: int) -> web.Response:
    """A page of HTML."""
    return web.Response(body=read(name)[0], status=status, content_type="text/html", charset="utf-8")


@functools.cache
def read(name: str) -> tuple[bytes, str]:
    """A file's content and its tag."""
    body = resources.files("nrt.daemon.web").joinpath("static", name).read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def _kind(path: str) -> str:
    return _TYPES[path.rpartition(".")[2]]
