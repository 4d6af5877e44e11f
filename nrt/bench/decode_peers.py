"""Other projects' readers of recordings, timed in an interpreter of their own. Runs as a script, without nrt.

    python decode_peers.py LIBRARY MODE FORMAT PATH

reads the file once to warm up and prints {"events": n, "version": v}, or {"error": reason}; then, for each line on
standard input, reads it once more and prints {"seconds": s}. MODE is "chunk" (events are counted as they come, in
the reader's own arrays) or "array" (one array of all events). Each reader is called as its documentation shows.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import time
import warnings
from collections.abc import Iterable
from typing import Any

SIZE = (1280, 720)
PACKAGES = {"dv": "dv_processing", "hand": "numpy"}


def _count(chunks: Iterable[Any], array: bool) -> int:
    if not array:
        return sum(len(chunk) for chunk in chunks)
    import numpy as np

    kept = [np.array(chunk) for chunk in chunks]
    return len(np.concatenate(kept)) if kept else 0


def evutils(path: str, form: str, array: bool) -> int:
    """Streams columns, or one structured array."""
    from evutils.io import EventReader, EventStreamer

    if array:
        return len(EventReader(path).read_all().to_numpy())
    return sum(len(batch[0]) if isinstance(batch, tuple) else len(batch) for batch in EventStreamer(path))


def expelliarmus(path: str, form: str, array: bool) -> int:
    """Chunks of 2^18 structured events, or one array."""
    from expelliarmus import Wizard

    if array:
        return len(Wizard(encoding=form, fpath=path).read())
    return _count(Wizard(encoding=form, fpath=path, chunk_size=1 << 18).read_chunk(), False)


def faery(path: str, form: str, array: bool) -> int:
    """Its low-level decoders, or its event stream joined."""
    import faery as reader

    if array:
        hints = {"evt2": "evt2", "evt3": "evt3", "dat": "dat2"}
        options = {"dimensions_fallback": SIZE, "version_fallback": hints[form]} if form in hints else {}
        return _count(reader.events_stream_from_file(path, **options), True)
    if form == "dat":
        decoder: Any = reader.dat.Decoder(path, SIZE, "dat2")
    elif form == "es":
        decoder = reader.es.Decoder(path, 0)
    elif form == "aedat4":
        decoder = reader.aedat.Decoder(path)
    else:
        decoder = reader.evt.Decoder(path, SIZE, form)
    return sum(_events_of(packet) for packet in decoder)


def _events_of(packet: Any) -> int:
    if isinstance(packet, dict):
        return len(packet.get("events", ()))
    if isinstance(packet, tuple):
        return sum(len(part) for part in packet if hasattr(part, "dtype"))
    return len(packet)


def evt3(path: str, form: str, array: bool) -> int:
    """Batches, or columns of the whole file."""
    import evt3 as reader

    return len(reader.decode_file(path).x) if array else _count(reader.decode_file_batches(path), False)


def evio(path: str, form: str, array: bool) -> int:
    """One array; it has no other way."""
    reader: Any = importlib.import_module("evio")
    return len(reader.read(path))


def aestream(path: str, form: str, array: bool) -> int:
    """One array; it has no other way."""
    reader: Any = importlib.import_module("aestream")
    return len(reader.FileInput(path, SIZE).load())


def dv(path: str, form: str, array: bool) -> int:
    """Its own event batches, or those as numpy joined."""
    import dv_processing

    recording = dv_processing.io.MonoCameraRecording(path)
    batches = iter(recording.getNextEventBatch, None)
    return (
        _count((batch.numpy() for batch in batches), True) if array else sum(len(batch) for batch in batches)
    )


def aedat(path: str, form: str, array: bool) -> int:
    """Packets of structured events, or those joined."""
    import aedat as reader

    return _count((packet["events"] for packet in reader.Decoder(path) if "events" in packet), array)


def event_stream(path: str, form: str, array: bool) -> int:
    """Chunks of structured events, or those joined."""
    import event_stream as reader

    return _count(reader.Decoder(path), array)


def hand(path: str, form: str, array: bool) -> int:
    """AEDAT2 of a DAVIS as a script would read it: the whole file as a numpy array, masks and shifts."""
    import numpy as np

    data, start = np.fromfile(path, np.uint8), 0
    while data[start] == ord("#"):
        start += int(np.argmax(data[start : start + 4096] == ord("\n"))) + 1
    words = data[start : start + (len(data) - start) // 8 * 8].view([("address", ">u4"), ("t", ">u4")])
    address = words["address"].astype("u4")
    out = np.empty(len(words), [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    out["t"], out["x"], out["y"] = words["t"], address >> 12 & 0x3FF, address >> 22 & 0x1FF
    out["p"] = address >> 11 & 1
    return len(out)


READERS = {
    f.__name__: f for f in (evutils, expelliarmus, faery, evt3, evio, aestream, dv, aedat, event_stream, hand)
}


def main(library: str, mode: str, form: str, path: str) -> None:
    """Answers the parent process, as the module says."""
    warnings.simplefilter("ignore")
    read = READERS[library]
    try:
        count = read(path, form, mode == "array")
        version = importlib.metadata.version(PACKAGES.get(library, library))
        print(json.dumps({"events": count, "version": version}), flush=True)
    except BaseException as error:  # a peer's own panics included: they are the result
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    for _ in sys.stdin:
        start = time.perf_counter()
        read(path, form, mode == "array")
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5])
