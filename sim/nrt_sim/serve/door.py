"""Door: where a driver knocks. The server behind it knows nothing of terminals and sockets."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Door(ABC):
    """One way in, for one driver at a time.

    address: the URI's part after the scheme that a driver opens: `+serial:///dev/pts/3`
    watch:   a descriptor that is readable when somebody may have come or gone
    link:    the descriptor of the driver that is inside; -1 while nobody is
    """

    address: str
    watch: int
    link: int = -1

    @abstractmethod
    def admit(self) -> bool:
        """Looks who came and went; never waits. True if a fresh link began, and what came before it is over."""

    @abstractmethod
    def read(self, most: int) -> bytes:
        """At most so many bytes that the driver wrote; b"" when it has hung up. Raises BlockingIOError for none yet."""

    @abstractmethod
    def write(self, raw: memoryview) -> int:
        """Sends what there is room for. Raises BlockingIOError, BrokenPipeError."""

    @abstractmethod
    def hang_up(self) -> None:
        """The driver has gone: waits for the next one."""

    @abstractmethod
    def close(self) -> None:
        """Pulls the plug: the driver's line is dead. May be called twice."""
