"""The names of topics. Everything of one node is below `<prefix>/<node>/`, so that one rule of an ACL covers it.

| topic                                      | what                                                 | retained |
|--------------------------------------------|------------------------------------------------------|----------|
| `nrt/<node>/$state`                        | init, ready, disconnected, lost (the last will)      | yes      |
| `nrt/<node>/$info`                         | versions, pipelines, devices, as JSON                | yes      |
| `nrt/<node>/<pipeline>/state`              | a StateChange, as JSON                               | yes      |
| `nrt/<node>/<pipeline>/stats`              | figures of the pipeline, as JSON                     | no       |
| `nrt/<node>/<pipeline>/decisions`          | a Decision, as JSON                                  | no       |
| `nrt/<node>/<pipeline>/alarms`             | an Alarm, as JSON                                    | no       |
| `nrt/<node>/<pipeline>/spikes/<population>`| spikes, binary (`nrt.mqtt.codec`)                    | no       |
| `nrt/<node>/rpc/request/<verb>`            | a command, as JSON                                   | no       |
| `nrt/<node>/rpc/response/<verb>/<client>`  | its reply, as JSON                                   | no       |
| `nrt/<node>/link/<device>/<client>/in`     | to a device that is used from afar (`nrt.mqtt.link`) | no       |
| `nrt/<node>/link/<device>/<client>/out`    | from it                                              | no       |

Names are percent-encoded, so that none of them can hold a slash or a wildcard. What is not of any pipeline
stands below the name `-`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

PREFIX: Final = "nrt"
NOBODY: Final = "-"
"""In the place of a pipeline's name: the node itself."""
_CLIENT = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one node; with `node` "+" the filters for all nodes."""

    node: str
    prefix: str = PREFIX

    @property
    def base(self) -> str:
        """What every topic of the node begins with."""
        return f"{self.prefix}/{self.node if self.node == '+' else escape(self.node)}"

    @property
    def state(self) -> str:
        """The node's state and last will."""
        return f"{self.base}/$state"

    @property
    def info(self) -> str:
        """The node's description."""
        return f"{self.base}/$info"

    def of(self, pipeline: str, what: str) -> str:
        """A topic of a pipeline: state, stats, decisions, alarms."""
        return f"{self.base}/{pipeline if pipeline == '+' else escape(pipeline or NOBODY)}/{what}"

    def spikes(self, pipeline: str, population: str) -> str:
        """Spikes of one population."""
        return self.of(pipeline, f"spikes/{population if population == '+' else escape(population)}")

    def request(self, verb: str) -> str:
        """Where commands go to."""
        return f"{self.base}/rpc/request/{verb}"

    def response(self, verb: str, client: str) -> str:
        """Where a client's replies come from."""
        return f"{self.base}/rpc/response/{verb}/{client}"

    def link(self, device: str, client: str, way: str) -> str:
        """A device used from afar; way: "in" to it, "out" from it."""
        return f"{self.base}/link/{device if device == '+' else escape(device)}/{client}/{way}"

    def split(self, topic: str) -> tuple[str, ...]:
        """The levels of a topic below the node's, as names; empty for a topic of somebody else."""
        head = self.base + "/"
        return tuple(map(unescape, topic[len(head) :].split("/"))) if topic.startswith(head) else ()


def node_of(topic: str, prefix: str = PREFIX) -> str:
    """The node that a topic belongs to; empty for a topic of somebody else."""
    head, _, rest = topic.partition("/")
    return unescape(rest.partition("/")[0]) if head == prefix else ""


def matches(filter: str, topic: str) -> bool:
    """Whether a topic matches a filter, with `+` for one level and `#` for all that follow (MQTT 3.1.1, 4.7)."""
    wanted, levels = filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(a in ("+", b) for a, b in zip(wanted, levels, strict=True))


def escape(name: str) -> str:
    """A name as one level of a topic."""
    return quote(name, safe="")


def unescape(level: str) -> str:
    """A level of a topic as the name it stands for; bytes that are no UTF-8 become U+FFFD."""
    return unquote(level)


def new_client() -> str:
    """A name for one client, which nobody guesses."""
    return secrets.token_urlsafe(9)


def is_client(name: object) -> bool:
    """Whether `name` may stand for a client in a topic."""
    return isinstance(name, str) and _CLIENT.fullmatch(name) is not None
