"""The command line. Its verbs are the API's: devices, info, run, bench, demo, warm.

Exit codes: 0 done, 1 failed (one sentence on standard error), 2 wrong usage.
"""

from __future__ import annotations

import sys

from nrt.errors import NrtError


def main() -> None:
    """Runs the command line and exits."""
    from nrt.cli.app import app

    try:
        app()
    except NrtError as error:
        print(f"nrt: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
