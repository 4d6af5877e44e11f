"""What the ladder found: by how much each rung between a float network and a device changes the answer, and why.

Every figure here is a loss: 0 is as good as the network in float, more is worse. With labels a recording's loss is 1
where the answer is wrong, so a mean of 0.06 is an accuracy of 94 %. Without, it is the distance of the outputs from
those of the float network, from 0 (equal) to 1 (nothing in common).

A step's `change` is the loss at its rung minus that at the rung before, so that the steps add up to the whole exactly.
It depends on the order of the rungs, since rungs act on each other; by how much is measured: `alone` is what a rung
changes by itself in the float network, and `interaction` what the sum of those is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nrt.plain import decode, encode

Measure = Literal["accuracy", "rates"]
"""accuracy: share of right answers · rates: how far the spike counts of the outputs are from the float network's"""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference of mean losses over paired recordings.

    low, high: 95 % interval, bootstrapped over recordings; nan for a single one
    p:    of the paired test (random changes of sign): how often chance alone does as much
    sure: whether it can be told from zero at 5 %, with p corrected for the rows that stand beside it (Holm)
    """

    value: float
    low: float
    high: float
    p: float
    sure: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What a rung changes if only this layer takes it, on top of all rungs before."""

    layer: str
    change: Change


@dataclass(frozen=True, slots=True)
class Step:
    """One rung, and what it adds to the loss.

    loss:   mean at this rung, nan where it could not be run (`error` says why)
    change: against the last rung before that ran; None for the first and where it did not run
    share:  of the whole loss; None where the whole cannot be told from zero
    alone:  what this rung changes in the float network by itself; None for rungs that are no Network → Network function
    layers: layer by layer, costliest first; empty where the rung cannot be taken apart
    parts_interaction: sum of the layers' changes minus the rung's
    """

    name: str
    what: str
    on: str
    loss: float
    change: Change | None = None
    share: float | None = None
    alone: Change | None = None
    layers: tuple[Part, ...] = ()
    parts_interaction: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one layer on one rung: what, and the figure that shows it, in a sentence."""

    kind: Literal["silent", "saturating", "overloaded", "lossy"]
    layer: str
    rung: str
    what: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to try against a cause, costliest cause first. cause: rung, and the layer that costs most of it."""

    cause: str
    what: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """The way from a float network to `device`, walked over `recordings` recordings.

    whole:       loss on the device minus that of the float network: the sum of the steps' changes
    interaction: sum of what each rung does alone, with the changes of those that cannot be had alone, minus the whole;
                 None where nothing could be taken alone
    failed:      recordings that did not run on every rung, and are in no figure: name, error
    """

    network: str
    device: str
    measure: Measure
    recordings: int
    steps: tuple[Step, ...]
    whole: Change
    interaction: float | None = None
    failed: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    advice: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()

    def figure(self, step: Step) -> float:
        """A step's loss as people read it: accuracy, or the distance from the float network."""
        return 1 - step.loss if self.measure == "accuracy" else step.loss

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, strings, lists and dictionaries; what is not a number is None."""
        plain: dict[str, Any] = encode(self)
        return plain

    @classmethod
    def from_dict(cls, plain: object) -> Ladder:
        """What `to_dict` made. Raises ConfigError naming what is wrong with it."""
        return decode(cls, plain)

    def rows(self) -> list[tuple[str, str]]:
        """The ladder as (name, text) for people."""
        rows: list[tuple[str, str]] = []
        for step in self.steps:
            rows.append((step.name, self._text(step)))
            if step.change is not None and step.change.sure:
                rows += [(f"  in {part.layer}", f"{'':7} {_points(part.change)}") for part in step.layers]
        rows.append(("whole", f"{'':7} {_points(self.whole)}"))
        if self.interaction is not None:
            text = "the rungs one by one, each in the float network, in sum differ by so much from the whole"
            rows.append(("interaction", f"{'':7} {100 * self.interaction:+6.1f}  {text}"))
        rows += [(each.kind, f"{each.layer}: {each.what}") for each in self.findings]
        rows += [(f"try: {each.cause}", each.what) for each in self.advice]
        rows += [("failed", f"{name}: {error}") for name, error in self.failed]
        return [*rows, *(("note", note) for note in self.notes)]

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        head = f"{self.network} on {self.device}, {self.recordings} recording(s)"
        unit = (
            "accuracy in %, and what is lost in points"
            if self.measure == "accuracy"
            else "distance in %, and points"
        )
        legend = (
            f"{unit} (95 % interval); ~0: not distinguishable from zero with {self.recordings} recording(s)"
        )
        return "\n".join(
            [head, f"  {legend}", *(f"  {name:<{width}}  {text}".rstrip() for name, text in rows)]
        )

    def _text(self, step: Step) -> str:
        if step.error:
            return f"not run: {step.error}"
        figure = f"{100 * self.figure(step):5.1f} %"
        if step.change is None:
            return f"{figure}  {step.what}"
        share = f"{step.share:5.0%} of the whole" if step.share is not None and step.change.sure else ""
        return f"{figure} {_points(step.change)} {share:<18}  {step.what}"


def _points(change: Change) -> str:
    """A change in hundredths, its interval, and whether it can be told from zero."""
    known = change.low == change.low  # not of a single recording
    interval = f"({100 * change.low:+.1f} to {100 * change.high:+.1f})" if known else ""
    return f"{100 * change.value:+6.1f} {interval:<17} {'  ' if change.sure else '~0'}"
