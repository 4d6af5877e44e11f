"""Options that several verbs have, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
NetworkFile = Annotated[str, typer.Argument(help="The network, a NIR file or one of lava-dl.")]
SourceUri = Annotated[str, typer.Argument(help="A source URI (`nrt devices` lists them) or a recording.")]
Limit = Annotated[str | None, typer.Option("--for", help="Stop after so much stream, such as 10s.")]
Dt = Annotated[str | None, typer.Option(help="Length of a time step, such as 1ms.")]
Like = Annotated[str | None, typer.Option(help="Read the network as this framework means it.")]
Choose = Annotated[
    list[str] | None,
    typer.Option("--set", help="One choice of semantics, such as reset=soft; may be repeated."),
]
Encode = Annotated[
    list[str] | None,
    typer.Option(help="One choice of input encoding, such as pool=2 or crop=10,0,32,32; may be repeated."),
]
Tap = Annotated[list[str] | None, typer.Option(help="Watch this population too; may be repeated.")]
