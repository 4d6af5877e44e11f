"""Commands, as MQTT, the dashboard and the typed client send them, and the memory that makes them idempotent."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from nrt.daemon.notice import Json
from nrt.errors import ConfigError

Verb = Literal["start", "stop", "restart", "reset", "deploy", "set", "snapshot", "report", "state"]
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
LOOKING: Final[frozenset[Verb]] = frozenset({"snapshot", "report", "state"})
"""Verbs that change nothing."""

BUSY: Final = "busy:"
"""How the error of a reply begins that means: not carried out, send it again with the same id."""

_LONGEST: Final = 128
"""Characters of an id or a name; ids of ours have 36."""
_REMEMBERED: Final = 1024
"""Replies that are kept for commands that come again."""


@dataclass(frozen=True, slots=True)
class Command:
    """id: chosen by the sender; a second command with the same id is not carried out, its reply is repeated.

    pipeline: "" for all of them, where the verb makes sense for all
    """

    id: str
    verb: Verb
    pipeline: str = ""
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @classmethod
    def parse(cls, data: object, verb: str | None = None) -> Command:
        """The command in decoded JSON from anybody; `verb` where the topic or path says it. Raises ConfigError."""
        if not isinstance(data, dict):
            raise ConfigError("a command is a JSON object with id, verb, pipeline and arguments")
        unknown = sorted(str(name) for name in data if name not in ("id", "verb", "pipeline", "arguments"))
        if unknown:
            raise ConfigError(
                f"a command has no field '{unknown[0][:_LONGEST]}'; there is id, verb, pipeline, arguments"
            )
        said = verb if verb is not None else data.get("verb")
        if data.get("verb", said) != said or said not in VERBS:
            raise ConfigError(f"verb is '{str(said)[:_LONGEST]}'; there is {', '.join(VERBS)}")
        id, pipeline = data.get("id"), data.get("pipeline", "")
        if not isinstance(id, str) or not 0 < len(id) <= _LONGEST:
            raise ConfigError(
                f"a command needs an id, a text of 1 to {_LONGEST} characters that the sender chooses"
            )
        if not isinstance(pipeline, str) or len(pipeline) > _LONGEST:
            raise ConfigError("pipeline is the name of a pipeline")
        arguments = data.get("arguments", {})
        if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments):
            raise ConfigError("arguments is a JSON object")
        return cls(id, said, pipeline, arguments)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of the command with that id: `result`, or one sentence in `error`."""

    id: str
    ok: bool
    result: Json = None
    error: str = ""

    def to_dict(self) -> dict[str, Json]:
        """As plain data for JSON."""
        return dataclasses.asdict(self)


class Replies:
    """The replies of the last commands by id: a command that comes again, even while it is carried out, is not."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, asyncio.Future[Reply]] = OrderedDict()

    async def once(self, id: str, carry_out: Callable[[], Awaitable[Reply]]) -> Reply:
        """The reply of `carry_out`, which is called only for an id that is not known."""
        known = self._kept.get(id)
        if known is None:
            known = self._kept[id] = asyncio.ensure_future(carry_out())
            while len(self._kept) > _REMEMBERED and next(iter(self._kept.values())).done():
                self._kept.popitem(last=False)
        return await asyncio.shield(known)  # a sender that goes away leaves a command half done otherwise

    async def settle(self) -> None:
        """Waits until no command is being carried out."""
        if pending := [each for each in self._kept.values() if not each.done()]:
            await asyncio.wait(pending)
