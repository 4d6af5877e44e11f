"""The broker beside the daemon."""

from __future__ import annotations

import socket
from pathlib import Path

from nrt.daemon import config
from nrt.daemon.node import Node
from nrt.daemon.notice import Alarm
from tests.brokers import free_port
from tests.unit.mqtt.conftest import configuration, eventually, running
from tests.unit.mqtt.test_link import link_of


def alone(folder: Path, port: int) -> config.Config:
    """A node with a broker and a link to it."""
    own = f"[broker]\nport = {port}"
    return configuration(folder, f"mqtt://127.0.0.1:{port}", more=own, pipeline="start = false")


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def is_connected(node: Node) -> bool:
    return link_of(node).connected


async def test_a_node_without_a_broker_brings_its_own_and_takes_it_along(tmp_path: Path) -> None:
    port = free_port()
    async with running(alone(tmp_path, port)) as node:
        await eventually(lambda: is_connected(node))
        assert listens(port)
    await eventually(lambda: not listens(port))


async def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        async with running(alone(tmp_path, port)) as node:
            node.listen(lambda notice: told.append(notice.text) if isinstance(notice, Alarm) else None)
            await eventually(lambda: bool(told))
    assert "cannot listen on 127.0.0.1" in told[0]
