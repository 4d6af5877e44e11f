"""The header of an AEDAT 4 file: its compression, where its data table lies, and its streams."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from nrt.formats import aedat4_flatbuffer as flatbuffer
from nrt.formats.aedat4_codec import NAMES
from nrt.formats.aedat4_flatbuffer import Malformed

_LONGEST_INFO: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a file: its id, four-letter type, camera, and sensor size if it has one."""

    id: int
    type: str
    source: str
    shape: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Header:
    """What the IOHE flatbuffer says; `table` is -1 where the file was never closed."""

    compression: int
    table: int
    streams: tuple[Stream, ...]


def parse_header(buffer: memoryview) -> Header:
    """Reads the size-prefixed IOHE flatbuffer. Raises Malformed."""
    root = flatbuffer.root(buffer, flatbuffer.HEADER)
    compression = flatbuffer.scalar(buffer, root, 0, "<i", 0)
    if not 0 <= compression < len(NAMES):
        raise Malformed(f"unknown compression {compression}")
    table = flatbuffer.scalar(buffer, root, 1, "<q", -1)
    at, size = flatbuffer.vector(buffer, root, 2, 1)
    return Header(compression, table, _streams(bytes(buffer[at : at + size])))


def _streams(info: bytes) -> tuple[Stream, ...]:
    """The streams that the XML text names. No document type is accepted, so that no entity can be defined."""
    if len(info) > _LONGEST_INFO or b"<!" in info:
        raise Malformed("a stream description that is too long or defines entities")
    try:
        tree = ElementTree.fromstring(info)
    except ElementTree.ParseError as error:
        raise Malformed(f"a stream description that is no XML ({error})") from error
    outputs = (node for node in tree.iter("node") if node.get("name") == "outInfo")
    return tuple(_stream(node) for output in outputs for node in output.findall("node"))


def _attributes(node: ElementTree.Element) -> dict[str, str]:
    return {entry.get("key", ""): entry.text or "" for entry in node.findall("attr")}


def _stream(node: ElementTree.Element) -> Stream:
    name = node.get("name", "")
    if not (name.isascii() and name.isdecimal() and len(name) < 10):
        raise Malformed(f"a stream of the name '{name}', which is no number")
    info = next((_attributes(child) for child in node.findall("node") if child.get("name") == "info"), {})
    width, height = (_size(info.get(key, "")) for key in ("sizeX", "sizeY"))
    shape = (2, height, width) if width and height else None
    return Stream(int(name), _attributes(node).get("typeIdentifier", ""), info.get("source", ""), shape)


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


def describe(compression: str, source: str, width: int, height: int) -> bytes:
    """The XML text of a file with one stream of events, number 0."""
    source = escape(source)
    return f"""<dv version="2.0">
    <node name="outInfo" path="/mainloop/Recorder/outInfo/">
        <node name="0" path="/mainloop/Recorder/outInfo/0/">
            <attr key="compression" type="string">{compression.upper()}</attr>
            <attr key="originalModuleName" type="string">nrt</attr>
            <attr key="originalOutputName" type="string">events</attr>
            <attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>
            <attr key="typeIdentifier" type="string">EVTS</attr>
            <node name="info" path="/mainloop/Recorder/outInfo/0/info/">
                <attr key="sizeX" type="int">{width}</attr>
                <attr key="sizeY" type="int">{height}</attr>
                <attr key="source" type="string">{source}</attr>
                <attr key="tsOffset" type="long">0</attr>
            </node>
        </node>
    </node>
</dv>
""".encode()
