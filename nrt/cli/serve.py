"""`nrt serve`: the edge daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nrt.errors import NotFound


def serve(
    config: Annotated[
        Path | None, typer.Option(help="The configuration; by default /etc/nrt/edge.toml.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what it would start, or every mistake with its line.")
    ] = False,
    unit: Annotated[bool, typer.Option("--unit", help="Print the systemd unit for this nrt.")] = False,
    broker: Annotated[
        bool, typer.Option("--broker", help="Run an MQTT broker inside, for those who have none.")
    ] = False,
) -> None:
    """Run pipelines unattended: restarted when they fail, steered and watched over MQTT and the browser."""
    from nrt.daemon import systemd

    if unit:
        print(systemd.unit(config).rstrip())
        return
    path = config or systemd.CONFIG
    if not path.is_file():
        raise NotFound(
            str(path), f"no configuration {path}; name one with --config, such as examples/edge.toml"
        )
    from nrt.daemon import serve as daemon
    from nrt.daemon.config import load

    extra = {"broker": dict[str, str](), "mqtt": dict[str, str]()} if broker else None
    if check:
        print("\n".join(asyncio.run(daemon.check(load(path, extra)))))
        return
    raise typer.Exit(daemon.serve(path, extra))
