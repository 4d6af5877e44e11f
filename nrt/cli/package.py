"""`nrt package`: models for the daemon, packed with a golden run and signed."""

from __future__ import annotations

import asyncio
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nrt.cli.options import Choose, Dt, Encode, Json, Like, NetworkFile

if TYPE_CHECKING:
    from nrt.daemon.models.package import Package

app = typer.Typer(help="Make, sign and check model packages for `nrt serve`.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]
Key = Annotated[Path | None, typer.Option(help="The private key to sign with; `nrt package keys` makes one.")]


@app.command()
def keys(
    path: Annotated[Path, typer.Argument(help="The private key's file; the public one ends in .pub.")],
) -> None:
    """Make a pair of keys: the private one signs packages, the public one is named in a daemon's configuration."""
    from nrt.daemon.models.keys import generate

    public = generate(path)
    print(f"{path}: keep it secret\n{public}: for [models] keys of the daemons that shall trust it")


@app.command()
def make(
    network: NetworkFile,
    source: Annotated[
        str, typer.Option("--from", help="A recording or source whose beginning is the golden run.")
    ],
    out: Out,
    version: Annotated[int, typer.Option(min=1, help="Counts up: daemons take no older one.")] = 1,
    name: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    span: Annotated[str, typer.Option("--for", help="Length of the golden run.")] = "300ms",
    golden: Annotated[
        str, typer.Option("--golden", help="The simulated device that computes it.")
    ] = "reference:",
    agreement: Annotated[
        float, typer.Option(help="Least share of its spikes that must come out the same.")
    ] = 1.0,
    key: Key = None,
    dt: Dt = None,
    like: Like = None,
    choose: Choose = None,
    encode: Encode = None,
) -> None:
    """Pack a network with a short run and what comes out of it."""
    from nrt.cli.choices import Choices
    from nrt.clock import microseconds
    from nrt.daemon.models.golden import make as made
    from nrt.daemon.models.keys import signed

    reading = Choices.of(network, "", dt, like, choose, encode).reading
    file = Path(network)
    package = asyncio.run(
        made(
            file,
            reading,
            source,
            name=name or file.stem,
            version=version,
            span=microseconds(span),
            device=golden,
            agreement=agreement,
        )
    )
    _write(signed(package, key) if key is not None else package, out)


@app.command()
def sign(
    package: Annotated[Path, typer.Argument(help="A package.")],
    key: Annotated[Path, typer.Option(help="The private key.")],
    out: Out,
) -> None:
    """Sign a package, in place of whoever signed it before."""
    from nrt.daemon.models.keys import signed
    from nrt.daemon.models.package import read

    _write(signed(read(package), key), out)


@app.command()
def check(
    package: Annotated[Path, typer.Argument(help="A package.")],
    key: Annotated[list[Path] | None, typer.Option(help="A public key to trust; may be repeated.")] = None,
    on: Annotated[str | None, typer.Option(help="Say too where the network goes on this device.")] = None,
    json: Json = False,
) -> None:
    """Say what is in a package, whether a trusted key signed it, and whether its golden run comes out the same here."""
    from nrt import registry
    from nrt.daemon.models.golden import check as checked
    from nrt.daemon.models.golden import network_of
    from nrt.daemon.models.keys import trusted, verify
    from nrt.daemon.models.package import read

    found = read(package)
    if key:
        verify(found, trusted(key))
    network = network_of(found)
    outcome = asyncio.run(checked(found, network))
    rows = _rows(found, bool(key))
    rows["golden run"] = (
        f"{outcome.agreement:.2%} of {outcome.spikes:,} spikes the same on {found.manifest.golden.device}"
    )
    if on is not None:
        rows["placement"] = str(asyncio.run(registry.device(on).plan(network)))
    if json:
        print(json_module.dumps(rows, indent=2))
        return
    for name, text in rows.items():
        print(f"{name:<12}{text}")


def _rows(package: Package, verified: bool) -> dict[str, str]:
    manifest = package.manifest
    signer = package.signature.key if package.signature else ""
    trust = "trusted" if verified else "not checked: name the key with --key"
    return {
        "package": f"{manifest.name} {manifest.version}",
        "address": package.address,
        "made": manifest.created,
        "network": f"{manifest.network[:12]}, {len(package.members['network']):,} bytes",
        "signed by": f"{signer}, {trust}" if signer else "nobody",
    }


def _write(package: Package, out: Path) -> None:
    from nrt.daemon.disk import replace

    data = package.to_bytes()
    replace(out, data)
    signer = f"signed by {package.signature.key}" if package.signature else "not signed"
    print(f"{out}: {package.label}, {len(data):,} bytes, {signer}\naddress {package.address}")
