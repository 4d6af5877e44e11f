"""The verbs `nrt sweep` and `nrt lab`; what they do is in `nrt.cli.sweep_run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrt.cli.options import Choose, Dt, Encode, Json, Like

lab_app = typer.Typer(help="A lab of machines that run sweeps together, on Dask.", no_args_is_help=True)
Scheduler = Annotated[str, typer.Argument(help="The scheduler of `dask scheduler`, as tcp://host:8786.")]


def sweep(
    networks: Annotated[list[str], typer.Argument(help="Networks, NIR files or those of lava-dl.")],
    out: Annotated[
        Path, typer.Option(help="Results: .h5 or .parquet. Run the same command again to resume.")
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(help="A device's URI, or a name of the lab; may be repeated. Default cpu:."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A folder with labels, digits, or tonic:NAME?split=test.")
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", help="Instead of --data, recordings without labels; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many recordings, as many of each class as there are.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings side by side on one device.")] = 1,
    lab: Annotated[str | None, typer.Option(help="Run across the lab of this scheduler.")] = None,
    patience: Annotated[
        str | None, typer.Option(help="How long one recording may take, such as 60s; default: any time.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run recordings again that failed.")] = False,
    dt: Dt = None,
    like: Like = None,
    choose: Choose = None,
    encode: Encode = None,
    json: Json = False,
) -> None:
    """Run every network on every device with every recording of a data set; resumable, also across a lab."""
    from nrt.cli.choices import Choices
    from nrt.cli.sweep_run import Wanted, run_sweeping

    if (data is None) == (not sources):
        raise typer.BadParameter("say what to run with either --data or --from")
    if lab is not None and jobs > 1:
        raise typer.BadParameter("--jobs is for this machine; a lab runs as many as its workers offer")
    choices = [Choices.of(path, "", dt, like, choose, encode) for path in networks]
    wanted = Wanted(choices, data, tuple(sources or ()), limit, tuple(on or ["cpu:"]), jobs, lab, patience)
    run_sweeping(wanted, out, retry=retry, json=json)


@lab_app.command()
def worker(
    scheduler: Scheduler,
    offer: Annotated[
        list[str],
        typer.Option(
            help="A device's URI, or NAME=URI where machines have it at different places; may be repeated."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="The worker's name; default its address.")] = None,
) -> None:
    """Offer this machine's devices to the lab until Ctrl-C; each is opened first and leased to this worker."""
    from nrt.cli.sweep_run import offer_devices

    offer_devices(scheduler, offer, name)


@lab_app.command()
def status(scheduler: Scheduler, json: Json = False) -> None:
    """List the lab's workers, what they offer and what they run."""
    from nrt.cli.sweep_run import show_lab

    show_lab(scheduler, json)
