"""Regenerates docs/comparison.md and the files beside it: two networks, every simulated and emulated device.

    pip install '.[torch]'
    python examples/reference_comparison.py

Nothing here ran on a chip: Speck and tinyODIN are emulated boards behind their real drivers, Loihi 2 is its arithmetic.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nrt import dataset
from nrt.compare import Comparison, Ladder, Options, compare
from nrt.compare.ladder import Case, walk
from nrt.network import Encoding, Network
from nrt_sim.models import digits

HERE = Path(__file__).absolute().parent
DOCS = HERE.parent / "docs"
INTRO = """# Reference comparison

Made by `python examples/reference_comparison.py --count {count}`; do not edit. What the figures mean: \
[compare](compare.md); the
ladder: [ladder](ladder.md).

**No chip took part.** `speck+emu:` and `tinyodin+emu:` are emulated boards behind the drivers that a real one would
have, `loihi2+sim:` is Loihi 2's arithmetic. Every energy figure says whether it is measured, modelled or published, of
what, and from which source; figures of different kinds are not to be added or compared. Latency counts from when a
packet was read: recordings were played as fast as each device took them, and boards that are emulated in real time wait
for it.
Latency and wall time are those of the machine named at the end, whatever else it was doing.
"""


@dataclass(frozen=True, slots=True)
class Study:
    """A network, what it reads, on which devices, and those whose ladder is walked."""

    name: str
    title: str
    network: Network
    devices: tuple[str, ...]
    ladders: tuple[str, ...]


def studies() -> tuple[Study, ...]:
    """The shipped digits network, and one that is small enough for tinyODIN."""
    speck, loihi, tiny = "speck+emu:?leak=linear", "loihi2+sim:", "tinyodin+emu:"
    small = Network.load(HERE / "small_digits.nir", encoding=Encoding(pool=4))
    return (
        Study(
            "digits",
            "digits.nir: two convolutions and a readout, 5,130 neurons",
            Network.load(digits()),
            ("reference:", "cpu:", "torch:cpu", speck, loihi),
            (speck, loihi),
        ),
        Study(
            "small_digits",
            "small_digits.nir: ten integrate-and-fire neurons (`examples/train_small.py`)",
            small,
            ("reference:", "cpu:", "torch:cpu", tiny, loihi),
            (tiny,),
        ),
    )


async def compared(case: Study, count: int) -> tuple[Comparison, list[Ladder]]:
    """The comparison, with the first of the ladders in it, and all ladders."""
    data = dataset.load(f"digits?count={count}")
    began = time.monotonic()
    found = await compare(case.network, data.samples, case.devices, Options())
    ladders: list[Ladder] = []
    for device in case.ladders:
        recordings = [Case(sample.name, sample.source, sample.label) for sample in data.samples]
        ladders.append(await walk(case.network, device, recordings))
    print(f"{case.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    path = Path(found.reading["path"]).relative_to(HERE.parent.absolute())
    reading = {**found.reading, "path": str(path)}  # wherever this checkout lies
    return dataclasses.replace(found, sources=(data.name,), reading=reading, ladder=ladders[0]), ladders


def slim(found: Comparison) -> Comparison:
    """Without what only a page draws: rasters, and the histograms of latency."""
    devices = tuple(
        dataclasses.replace(each, latency=dataclasses.replace(each.latency, buckets=(), phases=()))
        if each.latency
        else each
        for each in found.devices
    )
    return dataclasses.replace(found, rasters=(), devices=devices)


def section(case: Study, found: Comparison, ladders: list[Ladder]) -> str:
    """What the page says of one network."""
    text = str(dataclasses.replace(found, ladder=None))
    blocks = "\n\n".join(f"```\n{ladder}\n```" for ladder in ladders)
    files = f"[page](comparison/{case.name}.html), [JSON](comparison/{case.name}.json)"
    return (
        f"## {case.title}\n\nAll of it: {files}.\n\n```\n{text}\n```\n\n"
        f"### Where the difference comes from\n\n{blocks}\n"
    )


def main() -> None:
    """Runs everything and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="digits to read")
    parser.add_argument("--into", type=Path, default=DOCS, help="folder to write to")
    chosen = parser.parse_args()
    folder: Path = chosen.into / "comparison"
    folder.mkdir(parents=True, exist_ok=True)
    parts, made = [INTRO.format(count=chosen.count)], ""
    for case in studies():
        found, ladders = asyncio.run(compared(case, chosen.count))
        (folder / f"{case.name}.json").write_text(slim(found).to_json(None) + "\n", encoding="utf-8")
        (folder / f"{case.name}.html").write_text(found.to_html(), encoding="utf-8")
        parts.append(section(case, found, ladders))
        made = (
            f"Made with {', '.join(f'{k} {v}' for k, v in found.versions.items())} on {found.host['cpu']}.\n"
        )
    (chosen.into / "comparison.md").write_text("\n".join([*parts, made]), encoding="utf-8")


if __name__ == "__main__":
    main()
