"""Recording formats: found by content, read and written as streams of events.

`open(path)` gives a Recording, `create(path, …)` a Writer. Nothing else needs to know a format's name.
"""

from __future__ import annotations

from nrt.formats.base import TRIGGER, Decoder, Recording, Writer
from nrt.formats.table import FORMATS, Format, create, identify, open

__all__ = ["FORMATS", "TRIGGER", "Decoder", "Format", "Recording", "Writer", "create", "identify", "open"]
