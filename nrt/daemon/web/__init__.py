"""The daemon's web server: dashboard, metrics, health and commands."""

from __future__ import annotations

from nrt.daemon.web.server import Server
from nrt.daemon.web.settings import Settings

__all__ = ["Server", "Settings"]
