"""`nrt compare`: the same recordings on several devices, or two reports that were kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrt.cli.options import Choose, Dt, Encode, Json, Like


def compare(
    network: Annotated[
        list[str], typer.Argument(help="The network, a NIR file; or the JSON of two reports of `nrt run`.")
    ],
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", help="A recording, a folder of them, or a source URI; may be repeated."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A data set: a folder of recordings with labels, digits, tonic:NAME?split=test."),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(help="A device's URI; repeat it. The others are compared with the first that runs."),
    ] = None,
    dt: Dt = None,
    like: Like = None,
    choose: Choose = None,
    encode: Encode = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take so many recordings of the data set.")] = None,
    length: Annotated[
        str | None, typer.Option("--for", help="Take so much of each recording, such as 10s.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings side by side.")] = 1,
    speed: Annotated[
        float, typer.Option(min=0, help="1 plays recordings in real time; 0 as fast as devices take them.")
    ] = 0.0,
    tolerance: Annotated[
        str, typer.Option(help="By how much two spikes may differ and still match, such as 2ms.")
    ] = "0us",
    q: Annotated[
        float, typer.Option(min=0, help="Victor-Purpura: cost per second of moving a spike.")
    ] = 100.0,
    tau: Annotated[str, typer.Option(help="van Rossum: time constant of the filter.")] = "10ms",
    reach: Annotated[int, typer.Option(min=0, help="Longest delay between devices, in steps.")] = 32,
    membranes: Annotated[
        bool, typer.Option(help="Run up to the first difference again to show the membranes around it.")
    ] = True,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Find what makes the last device differ, rung by rung.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the result to this .json or .html file.")] = None,
    json: Json = False,
) -> None:
    """Compare devices: agreement, first difference, accuracy, latency, energy, and where the difference comes from."""
    from nrt.cli import comparing
    from nrt.page import check

    if out is not None:
        check(out)
    if len(network) > 1:
        if sources or data or on:
            raise typer.BadParameter("two reports are compared as they are: without --from, --data and --on")
        comparing.compare_stored(network, out=out, json=json)
        return
    if not on:
        raise typer.BadParameter("say on which devices, with --on for each")
    if bool(sources) == bool(data):
        raise typer.BadParameter("say what is compared, with either --from or --data")
    asked = comparing.Asked(
        network=comparing.read(network[0], dt, like, choose, encode),
        sources=sources or [data or ""],
        samples=comparing.samples(sources, data, limit),
        devices=tuple(on),
        ladder=ladder,
    )
    options = comparing.options(
        asked.network.semantics.dt,
        q=q,
        tau=tau,
        tolerance=tolerance,
        reach=reach,
        speed=speed,
        length=length,
        jobs=jobs,
        membranes=membranes,
    )
    if not comparing.compare_devices(asked, options, out=out, json=json):
        raise typer.Exit(1)
