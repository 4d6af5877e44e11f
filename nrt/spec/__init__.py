"""Device definitions (firmware_specs/*.toml) as numpy codecs, limits and tables.

```python
chip = nrt.spec.load("tinyodin")
aer = chip.word("aer_virtual")
words = aer.pack(weight=np.array([1, -2]), neuron=3)    # uint16 array; raises ConfigError for what does not fit
aer.unpack(words)["weight"]                             # array([1, -2], dtype=int16)
chip.kinds("aer_in").classify(words)                    # which kind of event each word is
chip.limit("neurons"), chip.short_hash                  # 256, the 32 bits that a handshake compares
```

A definition is the only place where an address, a bit-field, a limit or an energy figure of a device is written:
driver and emulator both take it from here. firmware_specs/README.md shows how one is written.
"""

from __future__ import annotations

from nrt.spec.entries import (
    EnergyRow,
    Enumeration,
    Figure,
    Figures,
    IntegerFormat,
    Kinds,
    Memory,
    Register,
    Settings,
    Step,
    Table,
    Timing,
    Vector,
)
from nrt.spec.load import load, names
from nrt.spec.record import Record
from nrt.spec.spec import Spec
from nrt.spec.word import Field, Word

__all__ = [
    "EnergyRow",
    "Enumeration",
    "Field",
    "Figure",
    "Figures",
    "IntegerFormat",
    "Kinds",
    "Memory",
    "Record",
    "Register",
    "Settings",
    "Spec",
    "Step",
    "Table",
    "Timing",
    "Vector",
    "Word",
    "load",
    "names",
]
