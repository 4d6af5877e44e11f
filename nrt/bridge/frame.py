"""Frames on a byte line: byte stuffing, a checksum, and finding the next frame after damage.

A frame is its body, then the CRC-32 of the body (little-endian), the two together stuffed so that no byte is 0
(consistent overhead byte stuffing, Cheshire and Baker 1999), then one 0. Whatever happens on the line, the next 0
ends the damage: at most the frames that it touched are lost, and the checksum says that they were. The CRC is that
of Ethernet and zlib (polynomial 0x04C11DB7, reflected, start and end inverted), which microcontrollers compute in
hardware.
"""

from __future__ import annotations

import zlib
from typing import Final

from nrt.bridge.words import BRIDGE

END: Final = b"\0"
CHECKSUM: Final = 4
_RUN: Final = 254  # non-zero bytes that one code byte can announce


def frame(body: bytes) -> bytes:
    """`body` as it goes over the line."""
    return stuff(body + zlib.crc32(body).to_bytes(CHECKSUM, "little")) + END


def stuff(data: bytes) -> bytes:
    """`data` without zeros: each code byte counts the bytes up to the next zero, 255 stands for 254 and no zero."""
    out = bytearray()
    blocks = data.split(END)
    for k, block in enumerate(blocks):
        while len(block) >= _RUN:
            out.append(_RUN + 1)
            out += block[:_RUN]
            block = block[_RUN:]
            if not block and k == len(blocks) - 1:
                return bytes(out)
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def unstuff(data: bytes) -> bytes | None:
    """What was stuffed, or None where a code byte points beyond the end. `data` holds no zero."""
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        if at + code > len(data):
            return None
        out += data[at + 1 : at + code]
        at += code
        if code <= _RUN and at < len(data):
            out.append(0)
    return bytes(out)


class Deframer:
    """Cuts bytes, in whatever pieces they arrive, into the bodies of the frames that arrived undamaged.

    corrupt: frames whose stuffing or checksum was wrong; oversize: bytes thrown away because no frame is that long
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._longest = int(BRIDGE.limits["frame_bytes"])
        self._skipping = False
        self.corrupt = 0
        self.oversize = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes."""
        *ended, rest = data.split(END)
        bodies: list[bytes] = []
        for piece in ended:
            whole = bytes(self._rest) + piece
            self._rest.clear()
            if self._skipping or len(whole) > self._longest:
                self._skipping = False
                self.oversize += len(whole)
                self.corrupt += 1
            elif whole and (body := _checked(whole)) is not None:
                bodies.append(body)
            elif whole:
                self.corrupt += 1
        self._keep(rest)
        return bodies

    def _keep(self, rest: bytes) -> None:
        """The beginning of a frame, of which no more is kept than a frame can have."""
        if self._skipping or len(self._rest) + len(rest) > self._longest:
            self.oversize += len(self._rest) + len(rest)
            self._rest.clear()
            self._skipping = True
        else:
            self._rest += rest


def _checked(stuffed: bytes) -> bytes | None:
    """The body of a frame, or None where it is damaged."""
    data = unstuff(stuffed)
    if data is None or len(data) < CHECKSUM:
        return None
    body, checksum = data[:-CHECKSUM], data[-CHECKSUM:]
    return body if zlib.crc32(body) == int.from_bytes(checksum, "little") else None
