"""Recognises recording formats by their content: the first bytes of a file and its size, never its name.

Most formats open with a magic string. N-MNIST and CSV have none and are decided by plausibility, last and
conservatively: random bytes, zeros and prose must not pass. Nothing heavy is imported here, because every
file that is opened passes through.
"""

from __future__ import annotations

from typing import Final

from nrt.formats.columns import find_columns

_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_NMNIST_RECORD: Final = 5
_NMNIST_OVERFLOW_Y: Final = 240
_NMNIST_SIDE: Final = 34
_NMNIST_FEW, _NMNIST_MANY = 4, 12


def is_aedat4(head: bytes, size: int) -> bool:
    """iniVation AEDAT 4: a 14-byte version line, then flatbuffers."""
    return head.startswith(b"#!AER-DAT4.0\r\n")


def is_aedat3(head: bytes, size: int) -> bool:
    """iniVation AEDAT 3.x: a text header, then little-endian packets."""
    return head.startswith(b"#!AER-DAT3.")


def is_aedat2(head: bytes, size: int) -> bool:
    """jAER AEDAT 1 or 2: a text header, then big-endian addresses and times."""
    return head.startswith((b"#!AER-DAT2.", b"#!AER-DAT1."))


def is_es(head: bytes, size: int) -> bool:
    """Event Stream of any version and type; which of them can be read is the reader's business."""
    return head.startswith(b"Event Stream") and len(head) >= 16


def is_hdf5(head: bytes, size: int) -> bool:
    """HDF5; its superblock may follow a user block of 512, 1024, 2048, … bytes (HDF5 specification II.A)."""
    if head.startswith(_HDF5_MAGIC):
        return True
    at = 512
    while at + len(_HDF5_MAGIC) <= len(head):
        if head.startswith(_HDF5_MAGIC, at):
            return True
        at *= 2
    return False


def is_csv(head: bytes, size: int) -> bool:
    """Text whose lines are events, with or without a line that names the columns."""
    return find_columns(head, complete=size <= len(head)) is not None


def is_nmnist(head: bytes, size: int) -> bool:
    """N-MNIST and N-Caltech101: 5-byte records whose times never fall.

    At least 4 records inside the 34 x 34 sensor, or 12 of any address; n random times rise with probability
    1/n!. Files with fewer records, or where no time passes, are not recognised.
    """
    if size % _NMNIST_RECORD:
        return False
    records = [head[at : at + 5] for at in range(0, len(head) - len(head) % 5, 5)]
    base, times, small = 0, [0], True
    for x, y, t2, t1, t0 in records:
        if y == _NMNIST_OVERFLOW_Y:
            base += 1 << 13
            continue
        if y > _NMNIST_OVERFLOW_Y:
            return False
        small &= x < _NMNIST_SIDE and y < _NMNIST_SIDE
        t = base + ((t2 & 0x7F) << 16 | t1 << 8 | t0)
        if t < times[-1]:
            return False
        times.append(t)
    enough = len(times) > (_NMNIST_FEW if small else _NMNIST_MANY)
    return enough and times[-1] > times[1]
