"""`nrt bench`: figures with the reference they are held against, measured in the same run."""

from __future__ import annotations

import asyncio
import json as json_module
from typing import Annotated

import typer

app = typer.Typer(help="Measure nrt against named references.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def session(
    seconds: Annotated[float, typer.Option(help="Length of the paced measurement.")] = 5.0, json: Json = False
) -> None:
    """The pipeline around a device that does nothing: events per second, and added latency at 1 kHz."""
    from nrt.bench.session import measure

    result = asyncio.run(measure(seconds))
    print(json_module.dumps(result.to_dict(), indent=2) if json else str(result))
