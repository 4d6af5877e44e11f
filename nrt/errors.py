"""Every error nrt raises on purpose.

```
NrtError
├─ NotFound               no such scheme, device, file or name (lists what there is)
├─ MissingDependency      names the extra to install
├─ DeployError
│  ├─ DoesNotFit          every violation at once: layer, limit, need, have, hint
│  └─ Unsupported         a node or an option that this device or lowering cannot do
├─ DeviceError            carries the device's URI
│  ├─ DeviceBusy          somebody else holds it
│  ├─ DeviceLost          it was there and is gone
│  ├─ DeviceTimeout       it did not answer in time
│  └─ ProtocolError       bytes that the protocol does not allow (offset, expected, got)
├─ StreamError
│  ├─ Overrun             the consumer was too slow and strict mode forbids losing events
│  └─ BadRecording        a damaged or unknown file (path, offset)
├─ BadPackage             a model package that is damaged, or not signed by a trusted key
├─ ConfigError            options that contradict each other or the data
└─ SpecError              a device definition with a mistake (path, line)
```

Each class stands for one decision of the caller; what the message says is also there as attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class NrtError(Exception):
    """Root of all errors that nrt raises on purpose."""


class NotFound(NrtError):
    """No such scheme, device, file or name.

    `what` is the name that was asked for, `known` what there is instead.
    """

    def __init__(self, what: str, message: str, known: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.what = what
        self.known = tuple(known)


class MissingDependency(NrtError):
    """An optional package is not installed; `extra` is the nrt extra that brings it."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package}, which is not installed: pip install 'nrt-runtime[{extra}]'"
        )
        self.feature = feature
        self.package = package
        self.extra = extra


class DeployError(NrtError):
    """A network cannot run on a device."""


class Unsupported(DeployError):
    """A node of a network, or an option, that cannot be done here; `node` names it."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Violation:
    """One limit that one layer exceeds."""

    layer: str
    limit: str
    need: float
    have: float
    hint: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.limit} needs {self.need:,.12g}, the device has {self.have:,.12g}; {self.hint}"


class DoesNotFit(DeployError):
    """A network exceeds a device's limits; `violations` lists all of them at once."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("the network does not fit:\n" + "\n".join(f"  {v}" for v in violations))
        self.violations = tuple(violations)


class DeviceError(NrtError):
    """A device failed; `uri` names it."""

    def __init__(self, uri: str, message: str) -> None:
        super().__init__(f"{uri}: {message}")
        self.uri = uri


class DeviceBusy(DeviceError):
    """Somebody else, or another run of this session, holds the device."""


class DeviceLost(DeviceError):
    """The device was there and is gone."""


class DeviceTimeout(DeviceError):
    """The device did not answer in time."""


class ProtocolError(DeviceError):
    """Bytes on a wire that the protocol does not allow."""

    def __init__(self, uri: str, offset: int, expected: str, got: str) -> None:
        super().__init__(uri, f"at byte {offset} expected {expected}, got {got}")
        self.offset = offset
        self.expected = expected
        self.got = got


class StreamError(NrtError):
    """A stream of events cannot go on."""


class Overrun(StreamError):
    """The consumer was too slow and strict mode forbids losing events; `lost` counts them."""

    def __init__(self, origin: str, lost: int) -> None:
        super().__init__(f"{origin}: {lost} events lost because the consumer was too slow (strict mode)")
        self.origin = origin
        self.lost = lost


class BadRecording(StreamError):
    """A recording is damaged, cut short or of no known format; `offset` is the byte where that shows."""

    def __init__(self, path: str | Path, offset: int, reason: str) -> None:
        super().__init__(f"{path}: byte {offset}: {reason}")
        self.path = Path(path)
        self.offset = offset
        self.reason = reason


class BadPackage(NrtError):
    """A model package that is damaged, not signed by a trusted key, or does not compute what it promises."""

    def __init__(self, package: str, reason: str) -> None:
        super().__init__(f"{package}: {reason}")
        self.package = package
        self.reason = reason


class ConfigError(NrtError):
    """Options that contradict each other, the network or the data."""


class SpecError(NrtError):
    """A device definition with a mistake."""

    def __init__(self, path: str | Path, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}")
        self.path = Path(path)
        self.line = line
