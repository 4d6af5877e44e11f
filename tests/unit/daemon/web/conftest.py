"""A node with its web server in this process, on a free port of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the dashboard needs aiohttp")

from nrt.daemon.config import load
from nrt.daemon.logs import Recent, setup
from nrt.daemon.node import Node
from nrt.daemon.notice import State
from nrt.daemon.web.server import Server

ROOT = Path(__file__).parents[4]
NETWORK = ROOT / "sim" / "nrt_sim" / "models" / "digits.nir"

CONFIG = """
[node]
name = "box"
data = "data"

[web]
port = 0
{web}

[[pipeline]]
name = "digits"
source = "synth:digits?sensor=davis346&width=32&height=32&seconds=0"
network = "{network}"
decide = "50ms"
"""


class Box:
    """The running node and the address of its pages."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.pipeline = node.pipelines["digits"]

    @property
    def url(self) -> str:
        server = self.node.services["web"]
        assert isinstance(server, Server)
        return server.url


Serve = Callable[..., AbstractAsyncContextManager[Box]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """`async with serve('upload = "1MB"') as box`: lines of [web] make the difference."""

    @contextlib.asynccontextmanager
    async def run(web: str = "") -> AsyncGenerator[Box]:
        path = tmp_path / "edge.toml"
        path.write_text(CONFIG.format(web=web, network=NETWORK), encoding="utf-8")
        config, recent = load(path), Recent()
        undo = setup(config.log, recent, io.StringIO())
        node = Node(config, recent)
        task = asyncio.create_task(node.run(), name="test.node")
        try:
            async with asyncio.timeout(60):
                await node.up.wait()
                box = Box(node)
                while not (box.url and box.pipeline.state is State.running):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            yield box
        finally:
            await node.stop()
            await asyncio.wait([task], timeout=30)
            undo()

    return run
