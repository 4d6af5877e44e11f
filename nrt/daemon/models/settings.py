"""[models]: whom the daemon believes, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nrt.daemon.table import Size
from nrt.errors import ConfigError
from nrt.registry import Duration


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """[models]. With this table, only packages are deployed that one of `keys` signed.

    keys:     public keys, files that `nrt package keys` makes · size: of a package, unpacked too
    keep:     packages that stay on disk although no pipeline runs them
    trial:    how long a new model must run well before it counts as good
    unsigned: whether plain network files in the folder of models may be deployed all the same
    """

    keys: tuple[Path, ...]
    keep: int = 4
    size: Size = Size(64_000_000)
    trial: Duration = Duration(30_000_000)
    unsigned: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        from nrt.daemon.models.keys import trusted

        if not self.keys:
            raise ConfigError("keys names no key: nothing could be deployed")
        trusted(self.keys)
        if self.keep < 0:
            raise ConfigError(f"keep is {self.keep}; it is 0 or more")
        if self.trial < 100_000:
            raise ConfigError("trial must be at least 100ms")
