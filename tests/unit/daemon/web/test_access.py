"""Who is let in: hosts, other sites, tokens, cookies, certificates; and what every answer carries."""

from __future__ import annotations

import asyncio
import http.cookies
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import aiohttp
import pytest

from nrt.daemon.table import Secret
from nrt.daemon.web import server
from nrt.daemon.web.access import COOKIE, Access
from nrt.daemon.web.settings import Settings
from tests.unit.daemon.web.conftest import Serve

TOKEN = "a2f5c8e1b4d7a0c3"


@pytest.fixture(autouse=True)
def answers_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong tokens are not kept waiting here."""
    monkeypatch.setattr(server, "LATE", 0.0)


def locked(folder: Path) -> str:
    token = folder / "token"
    token.write_text(TOKEN + "\n", encoding="ascii")
    token.chmod(0o600)
    return f'token_file = "{token}"'


def command(verb: str = "state") -> dict[str, object]:
    return {"id": f"test-{verb}", "verb": verb, "pipeline": "digits"}


async def test_only_names_of_this_machine_are_answered(serve: Serve) -> None:
    async with serve('names = ["edge7.lab.example"]') as box, aiohttp.ClientSession() as session:

        async def status(host: str) -> int:
            async with session.get(f"{box.url}healthz", headers={"Host": host}) as answer:
                return answer.status

        for host in ("localhost:8470", "127.0.0.1", "[::1]:8470", "192.168.7.3", "EDGE7.lab.example:80"):
            assert await status(host) == 200, host
        for host in ("evil.example", "edge7.lab.example.evil.example", "localhost.evil.example", "[::1", ""):
            assert await status(host) in (400, 421), host


async def test_what_other_sites_send_is_refused(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        own = box.url.rstrip("/")

        async def status(**headers: str) -> int:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.post(f"{box.url}api/command", json=command(), headers=names) as answer:
                return answer.status

        assert await status() == 200, "programs send no Origin"
        assert await status(Origin=own) == 200
        assert await status(Origin="http://evil.example") == 403
        assert await status(Origin="null") == 403
        assert await status(Origin=own, Sec_Fetch_Site="cross-site") == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{box.url}api/live", headers={"Origin": "http://evil.example"})
        assert refused.value.status == 403


async def test_a_form_cannot_give_commands(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        text = '{"id": "a", "verb": "stop", "pipeline": "digits"}'
        async with session.post(
            f"{box.url}api/command", data=text, headers={"Content-Type": "text/plain"}
        ) as answer:
            assert answer.status == 415
        assert box.pipeline.wanted


async def test_without_the_token_only_health_is_told_and_that_in_one_word(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve(locked(tmp_path)) as box, aiohttp.ClientSession() as session:
        for path in ("api/info", "metrics", "api/live"):
            async with session.get(f"{box.url}{path}") as answer:
                assert answer.status == 401, path
        async with session.post(f"{box.url}api/command", json=command("stop")) as answer:
            assert answer.status == 401
        async with session.post(f"{box.url}api/models", data=b"x") as answer:
            assert answer.status == 401
        for path in ("healthz", "readyz"):
            async with session.get(f"{box.url}{path}") as answer:
                assert await answer.json() in ({"ok": True}, {"ok": False})
        async with session.get(box.url) as answer:
            assert answer.status == 401
            assert "asks for its token" in await answer.text()
        assert box.pipeline.wanted


async def test_with_the_token_everything_is_told(serve: Serve, tmp_path: Path) -> None:
    async with serve(locked(tmp_path)) as box:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{box.url}metrics") as answer:
                assert 'nrt_events_total{pipeline="digits"}' in await answer.text()
            async with session.get(f"{box.url}readyz") as answer:
                assert (await answer.json())["pipelines"] == {"digits": "running"}
            async with session.ws_connect(f"{box.url}api/live") as live:
                assert (await live.receive_json(timeout=10))["type"] == "node"
        async with aiohttp.ClientSession() as session:
            wrong = {"Authorization": f"Bearer {TOKEN}x"}
            async with session.get(f"{box.url}metrics", headers=wrong) as answer:
                assert answer.status == 401


async def test_the_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve(locked(tmp_path)) as box, aiohttp.ClientSession() as session:
        async with session.post(f"{box.url}login", data={"token": TOKEN}, allow_redirects=False) as answer:
            assert answer.status == 303
            cookie = http.cookies.SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        assert TOKEN not in cookie.value
        headers = {"Cookie": f"{COOKIE}={cookie.value}"}
        async with session.get(f"{box.url}api/info", headers=headers) as answer:
            assert answer.status == 200
        ends, _, signature = cookie.value.partition(".")
        forged = [
            f"{int(ends) + 1}.{signature}",
            f"{ends}.{'0' * 64}",
            "",
            ".",
            "x.y",
            f"{ends}",
            "9" * 40 + ".é",
        ]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as stranger:
            for value in forged:
                async with stranger.get(
                    f"{box.url}api/info", headers={"Cookie": f"{COOKIE}={value}"}
                ) as answer:
                    assert answer.status == 401, value


def test_a_session_ends_and_a_new_token_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web
    from aiohttp.test_utils import make_mocked_request

    access = Access(Settings(token_file=Secret(TOKEN)))
    response = web.Response()
    assert access.login(response, TOKEN)
    headers = {"Cookie": f"{COOKIE}={response.cookies[COOKIE].value}"}
    request = make_mocked_request("GET", "/", headers=headers)
    assert access.knows(request)
    assert not Access(Settings(token_file=Secret(TOKEN[::-1]))).knows(request)
    later = time.time() + 31 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    assert not access.knows(request)


async def test_every_answer_forbids_what_the_page_does_not_need(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        for path in ("", "main.js", "healthz", "api/info", "nothing", "../server.py", "static/../server.py"):
            async with session.get(f"{box.url}{path}") as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "frame-ancestors 'none'" in policy
                if path.endswith((".py", "nothing")):
                    assert answer.status == 404


def authority(folder: Path) -> None:
    """An authority, a server's and a client's certificate, by openssl."""
    extension = folder / "san"
    extension.write_text("subjectAltName=IP:127.0.0.1\n", encoding="ascii")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "2")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", "san",
        )  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make certificates with")
async def test_with_an_authority_only_clients_that_show_its_certificate_are_served(
    serve: Serve, tmp_path: Path
) -> None:
    await asyncio.to_thread(authority, tmp_path)
    lines = [f'{key}_file = "{tmp_path / name}"' for key, name in
             (("certificate", "server.pem"), ("key", "server.key"), ("client_ca", "ca.pem"))]  # fmt: skip
    async with serve("\n".join(lines)) as box, aiohttp.ClientSession() as session:
        assert box.url.startswith("https://")
        stranger = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await session.get(f"{box.url}healthz", ssl=stranger)
        friend = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        friend.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
        async with session.get(f"{box.url}api/info", ssl=friend) as answer:
            assert (await answer.json())["node"] == "box"
