"""Whether a node works, and whether it does what it is there for."""

from __future__ import annotations

from nrt.daemon.node import Node
from nrt.daemon.notice import Json, State


def healthy(node: Node) -> tuple[bool, dict[str, Json]]:
    """Whether the daemon works: every pipeline is supervised and nothing hangs. What a watchdog asks."""
    pipelines: dict[str, Json] = {name: each.alive for name, each in node.pipelines.items()}
    ok = all(each.alive for each in node.pipelines.values())
    return ok, {"ok": ok, "node": node.name, "boot": node.boot, "pipelines": pipelines}


def ready(node: Node) -> tuple[bool, dict[str, Json]]:
    """Whether the daemon does what it is there for: every pipeline that should run does."""
    pipelines: dict[str, Json] = {name: each.state.value for name, each in node.pipelines.items()}
    ok = node.up.is_set() and all(
        each.state is State.running or (each.state is State.stopped and not each.wanted)
        for each in node.pipelines.values()
    )
    return ok, {"ok": ok, "node": node.name, "boot": node.boot, "pipelines": pipelines}
