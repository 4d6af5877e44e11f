"""The command line in a process of its own, with the boards of these tests in its table."""

from __future__ import annotations

from nrt import registry
from nrt.cli import main

if __name__ == "__main__":
    boards = {
        name: registry.Entry(f"tests.unit.wire.far:{name.capitalize()}", "a board of the tests")
        for name in ("echo", "clock")
    }
    registry.BOARDS = registry.BOARDS | boards  # type: ignore[misc, operator]
    main()
