"""What the distributions hold: `python tests/wheel.py WHEEL SDIST`. Run by CI on what it has just built."""

from __future__ import annotations

import sys
import tarfile
import zipfile

TOP = {"nrt", "nrt_drivers", "nrt_sim", "firmware_specs"}


def main(wheel: str, sdist: str) -> None:
    """Exits with a sentence if a name is missing, or one is there that should not be."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    if top != TOP:
        sys.exit(f"the wheel's top-level names are {sorted(top)}, not {sorted(TOP)}")
    for needed in (
        "nrt/py.typed",
        "nrt_sim/py.typed",
        "nrt_drivers/py.typed",
        "nrt_sim/cpu/engine.py",
        "nrt_sim/models/digits.nir",
        "firmware_specs/tinyodin.toml",
        "firmware_specs/schema/device.schema.json",
    ):
        if needed not in names:
            sys.exit(f"the wheel lacks {needed}")
    with tarfile.open(sdist) as archive_:
        inside = {"/".join(name.split("/")[1:]) for name in archive_.getnames()}
    for needed in ("pyproject.toml", "README.md", "LICENSE", "tests/conftest.py"):
        if needed not in inside:
            sys.exit(f"the sdist lacks {needed}")
    print(f"{len(names)} files; top-level names {', '.join(sorted(top))}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
