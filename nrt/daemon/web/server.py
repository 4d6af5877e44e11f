"""Server: the daemon over HTTP. A dashboard, commands, uploads, metrics and health; see docs/dashboard.md.

| path | what |
|---|---|
| `/` | the dashboard, or the login page |
| `/api/live` | WebSocket: figures and notices as JSON texts, pictures and rasters as binary frames (`frames`) |
| `/api/command` | POST: a `Command` in JSON, answered with its `Reply`; 200 where it was done, 409 where not |
| `/api/models` | POST: a network or package, which `deploy` then takes by its path |
| `/api/info` | what this node is |
| `/metrics`, `/healthz`, `/readyz` | for Prometheus and for whoever supervises the daemon |
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from aiohttp import web

from nrt.daemon import metrics, verdict
from nrt.daemon.command import Command
from nrt.daemon.loopback import is_loopback
from nrt.daemon.node import Node, info
from nrt.daemon.notice import Json
from nrt.daemon.service import Service
from nrt.daemon.web import picture, static, upload
from nrt.daemon.web.access import LATE, Access
from nrt.daemon.web.audience import Audience
from nrt.daemon.web.settings import Settings
from nrt.daemon.web.viewer import Viewer
from nrt.errors import ConfigError, NrtError

UPLOADS: Final = "uploads"
"""Folder of what was uploaded, in the folder of models: `deploy` takes it by this path."""
LONGEST: Final = 600.0
"""Seconds that an upload may take."""
MOST: Final = 32
"""Viewers at a time."""
_OPEN: Final = frozenset({"/login", "/healthz", "/readyz", *static.PATHS})
"""What needs no token: it tells nothing of this node but whether it is well."""
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Server": "nrt",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_log = logging.getLogger("nrt.daemon")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server(Service):
    """The service of the table [web]."""

    settings: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.url = ""
        """Where it listens, while it does."""
        self._audience: Audience | None = None

    def attach(self, node: Node) -> None:
        """Listens to the node from now on."""
        self._audience = Audience(node)

    async def run(self, node: Node) -> None:
        """Serves until cancelled. Raises ConfigError for certificates that cannot be used, OSError for the port."""
        audience = self._audience
        assert audience is not None
        await asyncio.to_thread(picture.warm)
        pages = Pages(node, self._settings, audience)
        runner = web.AppRunner(pages.application(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await self._listen(runner)
            await audience.run()
        finally:
            self.url = ""
            await audience.hang_up()
            await runner.cleanup()

    async def drain(self) -> None:
        """Nothing was promised."""
        if self._audience is not None:
            self._audience.close()

    async def _listen(self, runner: web.AppRunner) -> None:
        settings, tls = self._settings, tls_context(self._settings)
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{'https' if tls else 'http'}://{host}:{port}/"
        _log.info("dashboard at %s", self.url)
        if tls is None and not is_loopback(settings.host):
            _log.warning("the dashboard is served without TLS: its token can be read on the way")


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """For https, and clients' certificates where an authority is named. Raises ConfigError."""
    if settings.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
        if settings.client_ca_file is not None:
            context.load_verify_locations(settings.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"web: the certificates cannot be used: {error}") from error
    return context


class Pages:
    """What is answered to whom."""

    def __init__(self, node: Node, settings: Settings, audience: Audience) -> None:
        self._node, self._settings, self._audience = node, settings, audience
        self._access = Access(settings)
        self._uploading = asyncio.Lock()

    def application(self) -> web.Application:
        """The routes behind the checks."""
        app = web.Application(middlewares=[self._guard], client_max_size=1 << 16)
        app.on_response_prepare.append(_harden)
        app.add_routes(
            [
                web.get("/", self._page),
                web.post("/login", self._login),
                web.get("/api/live", self._live),
                web.get("/api/info", self._info),
                web.post("/api/command", self._command),
                web.post("/api/models", self._upload),
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthy),
                web.get("/readyz", self._ready),
                *(web.get(path, static.serve) for path in static.PATHS),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """The three questions of `access`."""
        if not self._access.is_ours(request):
            return _error(421, "this is not the host that was asked for; add its name to `names` in [web]")
        changes = request.method not in ("GET", "HEAD") or request.path == "/api/live"
        if changes and self._access.crosses(request):
            return _error(403, "a page of another site sent this")
        if request.path not in _OPEN and not self._access.knows(request):
            if request.path == "/":
                return static.page("login.html", 401)
            await asyncio.sleep(LATE)
            return _error(401, "give the token of this node: Authorization: Bearer TOKEN")
        return await handler(request)

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return static.page("index.html", 200)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        given = form.get("token", "")
        response = web.Response(status=303, headers={"Location": "/"})
        if isinstance(given, str) and self._access.login(response, given):
            return response
        _log.warning("a wrong token was given by %s", request.remote)
        await asyncio.sleep(LATE)
        return static.page("login.html", 401)

    async def _info(self, _: web.Request) -> web.StreamResponse:
        return _json(info(self._node))

    async def _command(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            return _error(415, "a command is sent as application/json")
        try:
            command = Command.parse(json.loads(await request.text()))
        except (ConfigError, ValueError, RecursionError) as error:
            return _error(400, str(error) if isinstance(error, ConfigError) else "this is not JSON")
        reply = await self._node.command(command)
        return _json(reply.to_dict(), 200 if reply.ok else 409)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if self._uploading.locked():
            return _error(503, "another upload is under way; try again when it is done")
        limit, folder = self._settings.upload, self._node.folder / "models" / UPLOADS
        try:
            async with self._uploading, asyncio.timeout(LONGEST):
                taken = await upload.take(request.content.iter_chunked(1 << 16), folder, limit)
        except TimeoutError:
            return _error(408, f"an upload may take {LONGEST:.0f} s")
        except upload.TooLarge as error:
            return _error(413, str(error))
        except NrtError as error:
            return _error(400, str(error))
        except OSError as error:
            return _error(507, f"the upload cannot be kept: {error.strerror}")
        _log.info(
            "%s uploaded %s, %s bytes: %s", request.remote, taken.path.name, f"{taken.size:,}", taken.about
        )
        path = f"{UPLOADS}/{taken.path.name}"
        return _json({"path": path, "sha256": taken.sha256, "size": taken.size, "about": taken.about})

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if len(self._audience) >= MOST:
            return _error(503, f"{MOST} viewers look at this node already")
        socket = web.WebSocketResponse(timeout=0.5, heartbeat=10.0, max_msg_size=4096, compress=False)
        await socket.prepare(request)
        viewer = Viewer(socket)
        async with self._audience.member(viewer):
            writer = asyncio.create_task(viewer.write(), name="nrt.web.viewer")
            try:
                async for asked in viewer.requests():
                    if isinstance(number := asked.get("drawn"), int):
                        viewer.drawn(number)
                    elif isinstance(name := asked.get("view"), str):
                        await self._audience.view(viewer, name)
            finally:
                writer.cancel()
                await asyncio.wait([writer])
        return socket

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        text = metrics.exposition(self._node)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _healthy(self, request: web.Request) -> web.StreamResponse:
        return self._verdict(request, *verdict.healthy(self._node))

    async def _ready(self, request: web.Request) -> web.StreamResponse:
        return self._verdict(request, *verdict.ready(self._node))

    def _verdict(self, request: web.Request, well: bool, details: dict[str, Json]) -> web.StreamResponse:
        """Yes or no for everybody, why for those who may know."""
        shown: dict[str, Json] = {"ok": well}
        return _json({**shown, **details} if self._access.knows(request) else shown, 200 if well else 503)


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _json(data: Json, status: int = 200) -> web.Response:
    return web.json_response(data, status=status)


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
