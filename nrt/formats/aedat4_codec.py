"""The compressions of AEDAT 4: none, LZ4 frames, Zstandard frames. No packet unpacks to more than 64 MiB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import lz4.frame
import zstandard

from nrt.errors import ConfigError

NAMES: Final = ("none", "lz4", "lz4_high", "zstd", "zstd_high")
"""In the order of the numbers in the file."""
MOST: Final = 1 << 26
"""Bytes that one packet may unpack to; cameras write packets of kilobytes."""

_LZ4_LEVELS: Final = {"lz4": 0, "lz4_high": 9}
_ZSTD_LEVELS: Final = {"zstd": 1, "zstd_high": 9}
_STEP: Final = 1 << 20
_LEAST_ROOM: Final = 1 << 18


class Undecodable(ValueError):
    """A packet that its compression cannot have written, or that unpacks to more than `MOST` bytes."""


def _plain(packed: memoryview) -> memoryview:
    return packed


class _Lz4:
    """Unpacks LZ4 frames piece by piece, with room for packets of about the size of those before.

    Frames need not say what they unpack to; growing the output instead costs a third of the speed.
    """

    def __init__(self) -> None:
        self._context = lz4.frame.create_decompression_context()
        self._room = _LEAST_ROOM

    def __call__(self, packed: memoryview) -> bytes:
        pieces: list[bytes] = []
        total, at, room = 0, 0, self._room
        try:
            lz4.frame.reset_decompression_context(self._context)
            while True:
                piece, used, done = lz4.frame.decompress_chunk(self._context, packed[at:], max_length=room)
                if done and not pieces:
                    return bytes(piece)
                self._room = min(2 * self._room, _STEP)
                pieces.append(piece)
                total, at = total + len(piece), at + used
                if total > MOST or not (done or piece or used):
                    break
                if done:
                    return b"".join(pieces)
        except RuntimeError as error:
            raise Undecodable(f"no LZ4 frame ({error})") from error
        raise Undecodable(
            f"a packet of more than {MOST} bytes" if total > MOST else "an LZ4 frame that is cut short"
        )


class _Zstd:
    """Unpacks Zstandard frames with one context, kept; the window is bounded like the packet."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=MOST)

    def __call__(self, packed: memoryview) -> bytes:
        try:
            size = zstandard.frame_content_size(packed)
            if size > MOST:
                raise Undecodable(f"a packet of {size} bytes; at most {MOST} are unpacked")
            if size >= 0:
                return self._decompressor.decompress(packed)
            with self._decompressor.stream_reader(packed) as reader:
                pieces: list[bytes] = []
                total = 0
                while piece := reader.read(_STEP):
                    pieces.append(piece)
                    total += len(piece)
                    if total > MOST:
                        raise Undecodable(f"a packet of more than {MOST} bytes")
            return b"".join(pieces)
        except zstandard.ZstdError as error:
            raise Undecodable(f"no Zstandard frame ({error})") from error


def decompressor(compression: int) -> Callable[[memoryview], bytes | memoryview]:
    """What unpacks the packets of a file; may return its argument. The result raises Undecodable."""
    name = NAMES[compression]
    if name == "none":
        return _plain
    return _Lz4() if name in _LZ4_LEVELS else _Zstd()


def compressor(name: str) -> Callable[[bytes], bytes]:
    """What packs the packets of a file. Raises ConfigError for an unknown name."""
    if name in _LZ4_LEVELS:
        level = _LZ4_LEVELS[name]
        return lambda data: bytes(lz4.frame.compress(data, compression_level=level, store_size=False))
    if name in _ZSTD_LEVELS:
        packer = zstandard.ZstdCompressor(level=_ZSTD_LEVELS[name], write_content_size=True)
        return packer.compress
    if name == "none":
        return lambda data: data
    raise ConfigError(f"no AEDAT 4 compression '{name}'; there is {', '.join(NAMES)}")
