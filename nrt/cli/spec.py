"""`nrt spec`: device definitions, checked and shown."""

from __future__ import annotations

import json as json_module
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nrt.cli.options import Json

if TYPE_CHECKING:
    from nrt.spec import Spec

app = typer.Typer(help="Check and show device definitions.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A name that `nrt spec list` prints, or the path of a .toml file.")]


@app.command("list")
def list_specs(json: Json = False) -> None:
    """List the definitions that come with nrt."""
    from rich.console import Console
    from rich.table import Table

    from nrt import spec

    specs = [spec.load(name) for name in spec.names()]
    if json:
        rows = [{"name": s.name, "title": s.title, "kind": s.kind, "hash": s.hash} for s in specs]
        print(json_module.dumps(rows, indent=2))
        return
    table = Table("name", "kind", "what it is", "tried", "hash", box=None)
    for each in specs:
        table.add_row(each.name, each.kind, f"{each.title}: {each.summary}", each.on_silicon, each.hash[:8])
    Console(markup=False).print(table)


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="Definitions, .toml files.")]) -> None:
    """Say whether definitions are right and agree with their vectors: ok, or path:line: reason.

    Exit codes: 0 right, 1 not, 2 wrong usage.
    """
    verdicts = [_check(path) for path in files]
    if not all(verdicts):
        raise typer.Exit(1)


@app.command()
def show(name: Name, json: Json = False) -> None:
    """Print a definition: words bit by bit, registers, memories, limits, timing, energy, quirks, sources."""
    from nrt import spec
    from nrt.spec.load import read_text

    found = spec.load(name)
    if json:
        definition = tomllib.loads(read_text(found.path))
        print(json_module.dumps({"hash": found.hash, "definition": definition}, indent=2, ensure_ascii=False))
        return
    _print(found)


@app.command()
def docs() -> None:
    """Print docs/specs.md: every definition that comes with nrt, in Markdown."""
    from nrt import spec
    from nrt.spec.page import page

    sys.stdout.write(page([spec.load(name) for name in spec.names()]))


def _check(path: Path) -> bool:
    """Prints every mistake of a definition, or that there is none."""
    from nrt.errors import NotFound, SpecError
    from nrt.spec.load import read_text
    from nrt.spec.read import contradictions, read_spec

    try:
        text = read_text(path)
        checked = read_spec(path, text)
    except (SpecError, NotFound) as error:
        print(error, file=sys.stderr)
        return False
    found = contradictions(path, text)
    for mistake in found:
        print(mistake, file=sys.stderr)
    if not found:
        print(f"{path}: ok, {len(checked.vectors)} vectors, hash {checked.hash[:8]}")
    return not found


def _print(found: Spec) -> None:
    """A definition as tables, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nrt.spec.describe import heading, sections

    console = Console()
    console.print(Text(f"{found.name}: {found.title}", style="bold"))
    console.print(Text(heading(found)))
    for section in sections(found):
        console.print()
        console.print(Text(section.title, style="bold"))
        if section.text:
            console.print(Text(section.text))
        if section.rows:
            table = Table(box=None)
            for name in section.columns:
                table.add_column(name, overflow="fold")
            for row in section.rows:
                table.add_row(*map(Text, row))
            console.print(table)
