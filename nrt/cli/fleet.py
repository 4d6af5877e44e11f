"""`nrt fleet`: the nodes that a broker knows, and one command for many of them."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar, get_args

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from nrt.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from nrt.daemon.command import Reply
    from nrt.daemon.notice import Json
    from nrt.remote.fleet import Fleet, Seen

T = TypeVar("T")

app = typer.Typer(
    help="See the nodes on an MQTT broker, and steer many of them at once.", no_args_is_help=True
)

BrokerUri = Annotated[
    str, typer.Option(envvar="NRT_BROKER", help="The broker, mqtt://host:port or mqtts://; also NRT_BROKER.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Pattern = Annotated[str, typer.Option(help="Nodes by name, with * and ?.")]
Quiet = Annotated[
    float, typer.Option(min=0.05, help="Seconds without another node after which all are known.")
]
Prefix = Annotated[str, typer.Option(help="First level of the topics.")]
_USUAL: Final = "mqtt://127.0.0.1:1883"


@app.command("list")
def list_nodes(
    broker: BrokerUri = _USUAL,
    nodes: Pattern = "*",
    quiet: Quiet = 0.5,
    prefix: Prefix = "nrt",
    json: AsJson = False,
) -> None:
    """List nodes with their state and that of their pipelines."""

    async def work(fleet: Fleet) -> list[Seen]:
        return await fleet.nodes(nodes, quiet)

    found = _with(broker, prefix, work)
    if json:
        print(json_module.dumps([each.to_dict() for each in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("node", "state", "pipelines", "devices", "nrt"):
        table.add_column(title)
    for each in found:
        about = each.to_dict()
        pipelines = ", ".join(f"{name} {state}" for name, state in each.pipelines.items())
        devices, versions = about["devices"], about["versions"]
        table.add_row(
            each.name,
            each.state or "unknown",
            pipelines or "none",
            ", ".join(devices) if isinstance(devices, dict) else "",
            str(versions.get("nrt", "")) if isinstance(versions, dict) else "",
        )
    console = Console()
    console.print(table if found else f"no node on {broker}")


@app.command()
def run(
    verb: Annotated[
        str, typer.Argument(help="start, stop, restart, reset, deploy, set, snapshot, report, state.")
    ],
    broker: BrokerUri = _USUAL,
    nodes: Pattern = "*",
    pipeline: Annotated[
        str, typer.Option(help="The pipeline; without it all, where the verb allows that.")
    ] = "",
    argument: Annotated[
        list[str] | None,
        typer.Option("--set", help="An argument of the command, name=value; may be repeated."),
    ] = None,
    package: Annotated[
        Path | None, typer.Option(help="For deploy: a signed package of this machine, which is sent along.")
    ] = None,
    within: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for replies.")] = 30.0,
    quiet: Quiet = 0.5,
    prefix: Prefix = "nrt",
    json: AsJson = False,
) -> None:
    """Run one command on every node that is up and whose name matches; exit 1 if one of them did not carry it out."""
    from nrt.daemon.command import VERBS, Verb
    from nrt.remote.model import deployment

    if verb not in VERBS:
        raise typer.BadParameter(f"'{verb}' is no command; there is {', '.join(VERBS)}")
    chosen: Verb = next(each for each in get_args(Verb) if each == verb)
    arguments: dict[str, Json] = dict(map(_pair, argument or ()))
    if package is not None:
        if verb != "deploy":
            raise typer.BadParameter("--package is for deploy")
        arguments |= deployment(package)

    async def work(fleet: Fleet) -> dict[str, Reply]:
        up = [each.name for each in await fleet.nodes(nodes, quiet) if each.state == "ready"]
        if not up:
            raise NotFound(nodes, f"no node whose name matches '{nodes}' is up on {broker}")
        return await fleet.command(up, chosen, pipeline, arguments, within)

    replies = _with(broker, prefix, work)
    if json:
        print(json_module.dumps({name: each.to_dict() for name, each in replies.items()}, indent=2))
    else:
        width = max(map(len, replies))
        for name, reply in replies.items():
            said = reply.result if isinstance(reply.result, str) else json_module.dumps(reply.result)
            print(f"{name:<{width}}  {'ok' if reply.ok else 'failed'}  {said if reply.ok else reply.error}")
    if not all(each.ok for each in replies.values()):
        raise typer.Exit(1)


@app.command()
def ping(
    node: Annotated[str, typer.Argument(help="The node's name.")],
    broker: BrokerUri = _USUAL,
    count: Annotated[int, typer.Option(min=1, help="How many commands.")] = 100,
    prefix: Prefix = "nrt",
    json: AsJson = False,
) -> None:
    """Measure the round trip of a command: sent, carried out by the node, answered."""

    async def work(fleet: Fleet) -> list[float]:
        await fleet.ping(node, min(10, count))  # subscriptions, caches
        return await fleet.ping(node, count)

    times = [1e3 * each for each in _with(broker, prefix, work)]
    p50, p99 = np.percentile(times, (50, 99)).tolist()
    figures = {"p50": p50, "p99": p99, "maximum": max(times)}
    if json:
        print(json_module.dumps({"node": node, "commands": count, "ms": figures}))
    else:
        said = ", ".join(f"{name} {value:.2f} ms" for name, value in figures.items())
        print(f"{node}: {count} commands, {said}")


def _with(broker: str, prefix: str, work: Callable[[Fleet], Awaitable[T]]) -> T:
    """Does `work` with a connection to the broker."""
    from nrt.mqtt.address import Address
    from nrt.remote.fleet import Fleet

    async def connected() -> T:
        async with Fleet(Address.parse(broker), prefix) as fleet:
            return await work(fleet)

    return asyncio.run(connected())


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise ConfigError(f"'{text}': arguments are written name=value")
    return name, value
