"""Service: something beside the pipelines, such as the MQTT link or the web server, that a node runs and supervises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from nrt.daemon.node import Node


class Service(ABC):
    """Made from its table of the configuration, as `Class(settings)`; `settings` is the table's dataclass.

    `attach` is called once, before any pipeline starts: who listens from there on misses no notice. `run` is called
    then, and again after a while when it fails; it is cancelled when the daemon ends, after the pipelines did. A
    service that fails never stops a pipeline.
    """

    settings: ClassVar[type[Any]]
    last: ClassVar[bool] = False
    """Whether it ends after all others, which may need it."""

    def attach(self, node: Node) -> None:
        """Gets ready. Raises ConfigError where the daemon must not start so."""

    @abstractmethod
    async def run(self, node: Node) -> None:
        """Serves until it is cancelled; whatever it opened is closed then."""

    def counters(self) -> Mapping[str, int]:
        """What waits, was dropped or refused, by name; for metrics. Called after `attach`."""
        return {}

    async def drain(self) -> None:
        """Called before it is cancelled: what was promised goes out, as far as that is quick."""
