"""`python -m nrt` is the command line."""

from __future__ import annotations

from nrt.cli import main

main()
