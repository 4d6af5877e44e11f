"""`nrt bench`: figures with the reference they are held against, measured in the same run."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from nrt.cli.options import Json

app = typer.Typer(help="Measure nrt against named references.", no_args_is_help=True)


@app.command()
def session(
    seconds: Annotated[float, typer.Option(help="Length of the paced measurement.")] = 5.0, json: Json = False
) -> None:
    """The pipeline around a device that does nothing: events per second, and added latency at 1 kHz."""
    from nrt.bench.session import measure

    result = asyncio.run(measure(seconds))
    print(json_module.dumps(result.to_dict(), indent=2) if json else str(result))


@app.command()
def engine(
    against: Annotated[
        Path | None,
        typer.Option(help="Folder of C++ yardsticks (ev2.cpp, b_ev.cpp, gen.py); needs torch and g++."),
    ] = None,
    scratch: Annotated[Path | None, typer.Option(help="Where to build them, kept for the next time.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions; medians are printed.")] = 15,
    json: Json = False,
) -> None:
    """The cpu: engine on a convolutional and a recurrent net, as a ratio to a C++ engine written for each."""
    bench = importlib.import_module("nrt_sim.bench")
    rows = bench.engine(against, repeat, scratch)
    if json:
        print(json_module.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        from nrt.report import host

        machine = host()
        print(f"{machine['cpu']}, one core, Python {machine['python']}")
        print(bench.table(rows))


@app.command()
def gpu(
    device: Annotated[str, typer.Option(help="The device's URI: cuda:0 or torch:cpu.")] = "torch:cpu",
    batch: Annotated[int, typer.Option(min=1, help="Recordings side by side, beside single ones.")] = 16,
    peers: Annotated[
        str | None, typer.Option(help="A Python that has spikingjelly or snntorch installed.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Folder of yardsticks, whose nets are used; needs torch and g++.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions; medians are printed.")] = 7,
    meter: Annotated[
        list[str] | None, typer.Option(help="Measure energy too, with this meter; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """The GPU simulator on a convolutional and a recurrent net: time, launches and bytes per step, beside peers."""
    bench = importlib.import_module("nrt_sim.gpu.bench")
    rows, notes = bench.measure(device, batch, peers, against, repeat, meters=meter or ())
    if json:
        print(json_module.dumps([dataclasses.asdict(row) for row in rows], indent=2))
        return
    from nrt.report import host, versions

    machine = host()
    print(f"{device} on {machine['cpu']}, torch {versions().get('torch', '')}, Python {machine['python']}")
    print(bench.table(rows))
    print(*notes, sep="\n", end="\n" if notes else "")


@app.command()
def sensor(
    peers: Annotated[str | None, typer.Option(help="A Python that has v2e installed.")] = None,
) -> None:
    """The simulated sensors with all noise on: share of a core at their frame rates, events per second."""
    importlib.import_module("nrt_sim.sensors.bench").main(peers)


@app.command()
def live(
    limit: Annotated[str, typer.Option("--for", help="How long to stream, such as 10min.")] = "20s",
    rate: Annotated[str, typer.Option(help="Events per second, such as 10M.")] = "10M",
    json: Json = False,
) -> None:
    """EVT3 of another process, through a terminal, to spikes on cpu: rate, losses, lateness, memory; decoding alone."""
    from nrt.bench.live import main
    from nrt.clock import microseconds
    from nrt.filters.option import QUANTITY

    main(microseconds(limit) / 1e6, float(QUANTITY.read(rate)), json=json)


@app.command()
def decode(
    formats: Annotated[
        list[str] | None, typer.Argument(help="Cases whose name starts so; all without any.")
    ] = None,
    peers: Annotated[
        str | None, typer.Option(help="A Python that has other projects' readers installed.")
    ] = None,
    events: Annotated[int, typer.Option(min=100_000, help="Events per recording.")] = 20_000_000,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions; medians are printed.")] = 5,
) -> None:
    """Reading recordings, beside the fastest readers of other projects on the same files."""
    from nrt.bench.decode import main

    main(peers, formats or (), events, repeat)


@app.command()
def filters(
    events: Annotated[int, typer.Option(min=100_000, help="Events in the stream.")] = 2_000_000,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions; medians are printed.")] = 5,
) -> None:
    """The filters one by one and in chains, beside a plain copy of the same events."""
    from nrt.bench.filters import main

    main(events, repeat)


@app.command()
def serve(
    seconds: Annotated[float, typer.Option(min=1, help="Length of a turn.")] = 5.0,
    turns: Annotated[int, typer.Option(min=1, help="Turns of every kind; medians are printed.")] = 5,
    on: Annotated[str, typer.Option(help="The device's URI.")] = "cpu:",
    services: Annotated[
        bool, typer.Option("--services", help="Also with an MQTT broker, link and dashboard inside.")
    ] = False,
    json: Json = False,
) -> None:
    """The edge daemon beside a bare session: the latency that it adds, on the same recording and device."""
    from nrt.bench.serve import measure, service_tables

    result = asyncio.run(measure(seconds, turns, on, service_tables() if services else None))
    print(json_module.dumps(result.to_dict(), indent=2) if json else str(result))


@app.command()
def mqtt(
    seconds: Annotated[float, typer.Option(min=1, help="Length of each measurement.")] = 5.0,
    commands: Annotated[int, typer.Option(min=1, help="Commands whose round trip is taken.")] = 300,
    rate: Annotated[int, typer.Option(min=1, help="Messages a second of the flood.")] = 10_000,
    on: Annotated[str, typer.Option(help="The device's URI.")] = "cpu:",
    flood: Annotated[str, typer.Option(help="Only flood the broker of this URI, for `seconds`.")] = "",
    json: Json = False,
) -> None:
    """The round trip of a command over amqtt and Mosquitto, and a pipeline while messages flood in."""
    from nrt.bench import mqtt as bench

    if flood:
        print(asyncio.run(bench.flood(flood, rate, seconds)))
        return
    result = asyncio.run(bench.measure(seconds, commands, rate, on))
    print(json_module.dumps(result.to_dict(), indent=2) if json else str(result))


@app.command()
def dashboard(
    limit: Annotated[str, typer.Option("--for", help="Length of each case, such as 10s.")] = "5s",
    rate: Annotated[str, typer.Option(help="Events per second, such as 3M.")] = "3M",
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions; medians are printed.")] = 5,
    chromium: Annotated[
        str | None, typer.Option(help="A Chromium that opens the page; needs playwright.")
    ] = None,
    json: Json = False,
) -> None:
    """What viewers of the dashboard cost a pipeline, and what they get."""
    from nrt.clock import microseconds
    from nrt.daemon.web.bench import measure, table
    from nrt.filters.option import QUANTITY

    cases = asyncio.run(measure(microseconds(limit) / 1e6, float(QUANTITY.read(rate)), repeat, chromium))
    print(json_module.dumps([case.to_dict() for case in cases], indent=2) if json else table(cases))
