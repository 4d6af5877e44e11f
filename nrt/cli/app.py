"""The verbs and their options; each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import nrt
from nrt.cli import bench, compare, fleet, package, serve, spec, sweep
from nrt.cli.options import Choose, Dt, Encode, Json, Like, Limit, NetworkFile, SourceUri, Tap

app = typer.Typer(
    name="nrt",
    help="Stream events through a spiking network on a CPU, a GPU or a chip, and measure it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench.app, name="bench")
app.add_typer(fleet.app, name="fleet")
app.add_typer(package.app, name="package")
app.add_typer(spec.app, name="spec")
app.add_typer(sweep.lab_app, name="lab")
app.command()(sweep.sweep)
app.command()(compare.compare)
app.command()(serve.serve)


def _version(wanted: bool) -> None:
    if wanted:
        print(nrt.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Stream events through a spiking network on a CPU, a GPU or a chip, and measure it."""


@app.command()
def devices(
    watch: Annotated[
        bool, typer.Option("--watch", help="Say what is plugged in and pulled out until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """List devices and sources, what each still needs, and the cameras and boards that are attached."""
    if watch:
        from nrt.cli.attached import watch as watch_attached

        watch_attached(json)
        return
    from nrt.cli.show import show_registry

    show_registry(json)


@app.command()
def meters(json: Json = False) -> None:
    """List energy meters: which there are on this machine, and what each still needs."""
    from nrt.cli.meters import show_meters

    show_meters(json)


@app.command()
def udev(
    install: Annotated[
        bool, typer.Option("--install", help="Write them to /etc/udev/rules.d and have udev read them.")
    ] = False,
    into: Annotated[Path | None, typer.Option(help="With --install: another folder, for packages.")] = None,
) -> None:
    """Print the udev rules that give people access to USB cameras and boards, or install them (needs root)."""
    from nrt.cli import udev as access

    print(access.install(into or access.FOLDER) if install else access.rules().rstrip())


@app.command()
def info(
    path: Annotated[
        str, typer.Argument(help="A recording, a network (.nir, .net), or synth: for its scenes.")
    ],
    digest: Annotated[
        bool,
        typer.Option("--digest", help="Decode it all: count, first, last and a SHA-256 of every column."),
    ] = False,
    like: Like = None,
    dt: Dt = None,
    json: Json = False,
) -> None:
    """Say what a recording or a network is: format, size, rate; layers, semantics, cost."""
    from nrt.cli.info import show_info, show_synth

    if path.startswith("synth:"):
        show_synth(json)
        return
    show_info(Path(path), digest=digest, like=like, dt=dt, json=json)


@app.command()
def deploy(
    network: NetworkFile,
    on: Annotated[str, typer.Option(help="The device's URI; `nrt devices` lists them.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say where it would go; needs no hardware.")
    ] = False,
    dt: Dt = None,
    like: Like = None,
    choose: Choose = None,
    encode: Encode = None,
    tap: Tap = None,
    json: Json = False,
) -> None:
    """Put a network on a device: what goes where, what rounding costs, or every limit that it exceeds."""
    from nrt.cli.choices import Choices
    from nrt.cli.deploy import deploy_network

    choices = Choices.of(network, on, dt, like, choose, encode, tap)
    deploy_network(choices, dry_run=dry_run, json=json)


@app.command()
def run(
    network: NetworkFile,
    sources: Annotated[
        list[str],
        typer.Option("--from", help="A recording, a folder of them, or a source URI; may be repeated."),
    ],
    on: Annotated[str, typer.Option(help="The device's URI; `nrt devices` lists them.")] = "cpu:",
    dt: Dt = None,
    like: Like = None,
    choose: Choose = None,
    encode: Encode = None,
    tap: Tap = None,
    decide: Annotated[
        str | None, typer.Option(help="Tell the winner of each window of this length, such as 100ms.")
    ] = None,
    label: Annotated[
        int | None, typer.Option(help="The right answer: tell when it was decided first, and for good.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help="Count what is later than this, such as 5ms, from when it was due.")
    ] = None,
    spikes: Annotated[Path | None, typer.Option(help="Write the output spikes to this HDF5 file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report to this .json or .html file.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings side by side.")] = 1,
    batch: Annotated[
        int, typer.Option(min=1, help="Recordings that the device computes together (torch:, cuda:).")
    ] = 1,
    meter: Annotated[
        list[str] | None,
        typer.Option(help="Measure energy with this meter, such as rapl: (`nrt meters`); may be repeated."),
    ] = None,
    windows: Annotated[int, typer.Option(min=1, help="With --meter: how often it is measured.")] = 3,
    window: Annotated[
        str | None, typer.Option(help="With --meter: least length of a window, such as 60s.")
    ] = None,
    json: Json = False,
) -> None:
    """Stream recordings through a network and report spikes, latency and losses."""
    from nrt.cli.choices import Choices
    from nrt.cli.run import Questions, run_many, run_one
    from nrt.dataset import recordings

    choices = Choices.of(network, on, dt, like, choose, encode, tap)
    found = recordings(sources)
    if meter:
        from nrt.cli.meters import run_measured

        if len(found) != 1 or spikes is not None:
            raise typer.BadParameter(
                "--meter repeats one recording; it writes no spikes and takes no second one"
            )
        run_measured(choices, found[0], meter, windows=windows, window=window, report=report, json=json)
    elif len(found) == 1:
        questions = Questions(decide, label, deadline)
        run_one(choices, found[0], questions, spikes=spikes, report=report, json=json)
    elif (decide, label, deadline) != (None, None, None):
        raise typer.BadParameter(
            "--decide, --label and --deadline ask about one recording, and there are several"
        )
    else:
        run_many(choices, found, jobs=jobs, batch=batch, report=report, json=json)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="The JSON of a run (`nrt run --report`) or of a comparison.")],
    network: Annotated[
        Path | None, typer.Option(help="Another file of the network, if that has moved.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Another recording or source URI, if that has moved.")
    ] = None,
    on: Annotated[str | None, typer.Option(help="Another device than that of the report.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write what comes of it to this file, .json or .html.")
    ] = None,
    json: Json = False,
) -> None:
    """Repeat a run or a comparison, and say what changed; exits with 1 if the outputs are not the same."""
    from nrt.cli.replay import replay_file
    from nrt.replay import Instead

    if not replay_file(file, Instead(network, source, on), out=out, json=json):
        raise typer.Exit(1)


@app.command()
def record(
    source: SourceUri,
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    format: Annotated[
        str | None, typer.Option(help="evt3, aedat4, es, hdf5, ...; default by the file's ending.")
    ] = None,
    limit: Limit = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, for sources that do not say.")] = None,
    rebase: Annotated[
        bool, typer.Option("--rebase", help="Count times from the start of the stream.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Record a camera's own bytes (.nrtraw), to be streamed again.")
    ] = False,
    json: Json = False,
) -> None:
    """Record any source into a file, readable up to the last second even if this process is killed."""
    from nrt.cli.record import record_source

    record_source(
        source, file, format=format, limit=limit, size=size, rebase=rebase, force=force, raw=raw, json=json
    )


@app.command()
def play(
    source: SourceUri,
    speed: Annotated[
        float | None, typer.Option(help="Multiple of real time, default 1; 0 is as fast as possible.")
    ] = None,
    limit: Limit = None,
    to: Annotated[
        str | None,
        typer.Option(help="Send it as a camera would: pty, udp://host:port, spif://host:port, file:path."),
    ] = None,
    wire: Annotated[str | None, typer.Option("--as", help="As whose bytes: evt3, davis or edvs.")] = None,
    json: Json = False,
) -> None:
    """Play a source in real time, onto a wire as a camera would if asked, and say how well it kept time."""
    from nrt.cli.record import play_source

    play_source(source, speed=speed, limit=limit, to=to, wire=wire, json=json)


@app.command()
def view(
    source: SourceUri,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Look at a source in the terminal: event image, rate, losses, lateness; Ctrl-C ends it with a summary."""
    from nrt.cli.view import view_source

    view_source(source, limit=limit, json=json)


@app.command()
def emulate(
    name: Annotated[str, typer.Argument(help="The board; `nrt devices` lists them.")],
    files: Annotated[list[Path] | None, typer.Argument(help="With --check: recordings of the chip.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Replay FILES through driver, wire and board; compare everything.")
    ] = False,
    pty: Annotated[bool, typer.Option("--pty", help="Serve on a pseudo-terminal; the default.")] = False,
    tcp: Annotated[
        str | None, typer.Option(help="Serve on this PORT or HOST:PORT; port 0 takes a free one.")
    ] = None,
    link: Annotated[Path | None, typer.Option(help="A path to make that points to the terminal.")] = None,
    baud: Annotated[int, typer.Option(min=0, help="Speed of the line; 0: as fast as it goes.")] = 0,
    offset: Annotated[
        str | None, typer.Option(help="How far the board's clock is ahead of this machine's, such as 2min.")
    ] = None,
    skew_ppm: Annotated[float | None, typer.Option(help="How much the board's clock runs fast.")] = None,
    choose: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the board, name=value; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Serve an emulated board to drivers in other processes, or hold it to recordings of the chip."""
    from nrt.cli import emulate as emulation

    if pty and tcp is not None:
        raise typer.BadParameter("--pty and --tcp exclude each other")
    if link is not None and tcp is not None:
        raise typer.BadParameter("--link points to a terminal; a TCP port has none")
    options = emulation.board_options(choose or (), offset, skew_ppm)
    choices = emulation.Choices(name, options, tcp, link, baud)
    if not check:
        if files:
            raise typer.BadParameter("FILES are for --check")
        emulation.serve(choices, json=json)
    elif not emulation.check(choices, files or (), served=pty or tcp is not None, json=json):
        raise typer.Exit(1)


@app.command()
def demo(
    digits: Annotated[int, typer.Option(min=1, max=1000, help="Digits to read, six a second.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the sensor's noise and the order of the digits.")] = 7,
    on: Annotated[
        list[str] | None,
        typer.Option(help="The device's URI; may be repeated. Default: every simulator that is ready."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the plots to this file. Default: nrt-demo.html, with --json none."),
    ] = None,
    json: Json = False,
) -> None:
    """Watch a network read handwritten digits through a simulated camera; needs no camera and no network access."""
    from nrt.cli.demo import show_demo

    page = html if html is not None or json else Path("nrt-demo.html")
    show_demo(digits=digits, seed=seed, on=on or (), html=page, json=json)


@app.command()
def warm() -> None:
    """Compile every kernel now, so that the first run does not have to."""
    from nrt.cli.show import show_warm

    show_warm()
