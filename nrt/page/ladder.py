"""The ladder drawn: a waterfall from the float network to the device, and the interaction of its rungs."""

from __future__ import annotations

import itertools
import math

from nrt.compare.ladder_result import Change, Ladder, Part, Step
from nrt.page.markup import Content, Markup, el, figure, grid, section
from nrt.page.svg import Scale, bar, cut, line, linear, short, svg, text, ticks

_LEFT, _RIGHT, _ROW = 230, 760, 30


def drawn(ladder: Ladder) -> Content:
    """The section of a page that holds a ladder."""
    what = {"accuracy": "accuracy", "rates": "distance of the outputs' spike counts from the float network"}[
        ladder.measure
    ]
    note = (
        f"From the network in float to {ladder.device}, rung by rung, over {ladder.recordings} recordings: {what}. "
        "Red bars lose, green ones win back; whiskers are 95 % intervals, differences "
        "percentage points; pale bars cannot be told from zero."
    )
    return section(
        "Where the difference comes from",
        figure(waterfall(ladder), _interaction(ladder), wide=True),
        _steps(ladder),
        _layers(ladder),
        _list(
            "Layers that deserve a look",
            [f"{f.layer} ({f.kind}, {f.rung}): {f.what}" for f in ladder.findings],
        ),
        _list("What to try", [f"{a.cause}: {a.what}" for a in ladder.advice]),
        _list(
            "Recordings in no figure, for they did not run on every rung",
            [f"{n}: {e}" for n, e in ladder.failed],
        ),
        el("ul", (el("li", each) for each in ladder.notes)) if ladder.notes else None,
        note=note,
    )


def waterfall(ladder: Ladder) -> Markup:
    """A row per rung: a bar from the figure before it to its own; the whole, and the interaction, at the end."""
    ran = [step for step in ladder.steps if math.isfinite(step.loss)]
    if not ran:
        return svg(1000, 40, "ladder", text(10, 24, "no rung could be run"))
    sign = _sign(ladder)
    base = 1.0 if ladder.measure == "accuracy" else 0.0
    reach = [base + sign * each for each in _reach(ladder, ran)]
    across = linear(min(reach), max(reach), _LEFT, _RIGHT)
    parts: list[Content] = []
    before: float | None = None
    row = 0
    for step in ladder.steps:
        y = 10 + row * _ROW
        row += 1
        parts.append(text(_LEFT - 10, y + 13, cut(step.name, 34), "end strong", step.what))
        if not math.isfinite(step.loss):
            parts.append(text(_LEFT + 4, y + 13, f"not run: {cut(step.error, 90)}", "", step.error))
            continue
        value = base + sign * step.loss
        if before is None or step.change is None:
            parts.append(line(f"M{across(value):.1f} {y - 4}v{_ROW - 6}", "whisker"))
        else:
            parts += _change(across, before, value, sign, step.change, y, step.what)
        parts.append(text(_RIGHT + 12, y + 13, _said(ladder, step)))
        parts.append(line(f"M{across(value):.1f} {y + 16}v{_ROW - 16}", "link"))
        before = value
    y = 10 + row * _ROW
    start, end = base + sign * ran[0].loss, base + sign * ran[-1].loss
    parts += [
        text(_LEFT - 10, y + 13, "the whole", "end strong"),
        bar(
            across(start),
            y,
            across(end) - across(start),
            16,
            f"whole{'' if ladder.whole.sure else ' unsure'}",
        ),
        text(_RIGHT + 12, y + 13, _percent(sign * ladder.whole.value)),
    ]
    if ladder.interaction is not None:
        y += _ROW
        length = across(end + sign * ladder.interaction) - across(end)
        parts += [
            text(
                _LEFT - 10,
                y + 13,
                "interaction",
                "end strong",
                "sum of what each rung does alone, minus the whole",
            ),
            bar(across(end), y, length or 0.5, 16, "between"),
            text(_RIGHT + 12, y + 13, _percent(sign * ladder.interaction)),
        ]
    bottom = y + _ROW
    axis = [
        (
            line(f"M{across(at):.1f} 4V{bottom}", "grid"),
            text(across(at), bottom + 14, f"{100 * at:.3g} %", "mid"),
        )
        for at in ticks(min(reach), max(reach), 6)
        if -1e-9 <= at <= 1 + 1e-9
    ]
    return svg(1000, bottom + 20, "ladder: waterfall", axis, parts)


def _reach(ladder: Ladder, ran: list[Step]) -> list[float]:
    """All losses that must be on the axis, with room for whiskers and for a ladder without any difference."""
    found = [step.loss for step in ran]
    for earlier, later in itertools.pairwise(ran):
        if later.change is not None and _known(later.change):
            found += [earlier.loss + later.change.low, earlier.loss + later.change.high]
    found.append(ran[-1].loss + (ladder.interaction or 0.0))
    span = max(found) - min(found)
    room = max(0.04 * span, (0.02 - span) / 2)
    return [min(found) - room, max(found) + room]


def _change(
    across: Scale, before: float, value: float, sign: float, change: Change, y: float, what: str
) -> list[Content]:
    kind = "worse" if change.value > 0 else "better"
    tip = f"{_points(change)}, p {change.p:.3g}: {what}"
    cls = kind if change.sure else f"{kind} unsure"
    shown = bar(across(before), y, (across(value) - across(before)) or 0.8, 16, cls, tip)
    if not _known(change):
        return [shown]
    low, high = across(before + sign * change.low), across(before + sign * change.high)
    whisker = f"M{low:.1f} {y + 8}H{high:.1f}M{low:.1f} {y + 4}v8M{high:.1f} {y + 4}v8"
    return [shown, line(whisker, "whisker")]


def _known(change: Change) -> bool:
    """Whether it has an interval: a single recording has none."""
    return math.isfinite(change.low) and math.isfinite(change.high)


def _said(ladder: Ladder, step: Step) -> str:
    figure_ = f"{100 * ladder.figure(step):.1f} %"
    if step.change is None:
        return figure_
    share = "" if step.share is None else f", {step.share:.0%} of the whole"
    return f"{figure_} ({_percent(_sign(ladder) * step.change.value)}{share})"


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} points" if abs(value) >= 5e-4 else "0.0 points"


def _interaction(ladder: Ladder) -> str:
    exact = "The rungs' changes add up to the whole exactly."
    if ladder.interaction is None:
        return exact
    what = "accuracy" if ladder.measure == "accuracy" else "distance"
    beyond = _percent(_sign(ladder) * ladder.interaction)
    return (
        f"{exact} Each alone in the float network, they add up to the whole and {beyond} of {what}: "
        "the interaction. That much of it depends on the order of the rungs."
    )


def _sign(ladder: Ladder) -> float:
    """What is drawn grows with accuracy, or with the distance; the ladder itself tells losses."""
    return -1.0 if ladder.measure == "accuracy" else 1.0


def _steps(ladder: Ladder) -> Markup:
    rows = [
        (
            step.name,
            f"{100 * ladder.figure(step):.1f} %" if math.isfinite(step.loss) else "not run",
            _points(step.change),
            _points(step.alone),
            "" if step.change is None else short(step.change.p),
            step.what,
            step.on,
        )
        for step in ladder.steps
    ]
    head = ("rung", "figure", "changes the loss by, points", "alone by", "p", "what it is", "runs on")
    return grid(head, rows, numbers=False)


def _points(change: Change | None) -> str:
    """In percentage points, with its interval."""
    if change is None:
        return ""
    value, low, high = (f"{100 * each + 0.0:+.1f}" for each in (change.value, change.low, change.high))
    return f"{value} ({low} to {high})" if _known(change) else value


def _layers(ladder: Ladder) -> Content:
    rows: list[tuple[str, str, str, str]] = []
    for step in ladder.steps:
        rows += [_layer(step, part) for part in step.layers]
    if not rows:
        return None
    return (
        el("h3", "Layer by layer"),
        grid(("rung", "layer", "changes the loss by, points", ""), rows, numbers=False),
    )


def _layer(step: Step, part: Part) -> tuple[str, str, str, str]:
    sure = "" if part.change.sure else "not distinguishable from zero"
    return (step.name, part.layer, _points(part.change), sure)


def _list(title: str, items: list[str]) -> Content:
    return (el("h3", title), el("ul", (el("li", each) for each in items))) if items else None
