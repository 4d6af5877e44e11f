"""The log: one line for one message, whatever is in it; JSON where asked; no secret."""

from __future__ import annotations

import io
import json
import logging

from nrt.daemon.config import LogConfig
from nrt.daemon.logs import KEPT, Line, Recent, setup
from nrt.daemon.table import Secret

log = logging.getLogger("nrt.daemon")


def logged(config: LogConfig, *messages: str, recent: Recent | None = None) -> str:
    """What is written for these messages."""
    stream = io.StringIO()
    undo = setup(config, recent or Recent(), stream)
    try:
        for message in messages:
            log.warning("%s", message, extra={"pipeline": "eye"})
    finally:
        undo()
    return stream.getvalue()


def test_text_says_when_how_serious_and_of_what() -> None:
    (line,) = logged(LogConfig(), "it works").splitlines()
    stamp, level, rest = line.split(maxsplit=2)
    assert stamp.endswith("Z")
    assert (level, rest) == ("warning", "eye: it works")


def test_json_is_one_object_a_line() -> None:
    lines = logged(LogConfig(format="json"), "one", "two\nlines").splitlines()
    found = [json.loads(line) for line in lines]
    assert [each["message"] for each in found] == ["one", "two\nlines"]
    assert all(each["pipeline"] == "eye" and each["level"] == "warning" for each in found)


def test_a_secret_is_never_printed() -> None:
    recent = Recent()
    recent.hide(Secret("swordfish"))
    text = logged(LogConfig(), "the password is swordfish", recent=recent)
    assert "swordfish" not in text
    assert "***" in text
    assert "swordfish" not in str(recent.recent())


def test_what_somebody_sends_cannot_write_on_the_terminal_or_fill_the_log() -> None:
    text = logged(LogConfig(), "\x1b[2J\x07" + "x" * 100_000)
    assert "\x1b" not in text
    assert len(text) < 5_000


def test_levels_below_the_chosen_one_are_left_out() -> None:
    assert logged(LogConfig(level="error"), "only a warning") == ""


def test_the_last_lines_are_kept_and_told_to_whoever_listens() -> None:
    recent, heard = Recent(), list[Line]()
    end = recent.listen(heard.append)
    logged(LogConfig(), *(str(number) for number in range(KEPT + 5)), recent=recent)
    assert len(recent.recent()) == KEPT
    assert [each.message for each in recent.recent(2)] == [str(KEPT + 3), str(KEPT + 4)]
    assert len(heard) == KEPT + 5
    end()
    end()


def test_a_listener_that_fails_is_not_asked_again() -> None:
    recent, calls = Recent(), 0

    def fail(line: Line) -> None:
        nonlocal calls
        calls += 1
        raise OSError("gone")

    recent.listen(fail)
    assert logged(LogConfig(), "one", "two", recent=recent).count("\n") == 2
    assert calls == 1


def test_a_reader_that_is_gone_stops_nothing() -> None:
    stream = io.StringIO()
    undo = setup(LogConfig(), Recent(), stream)
    try:
        stream.close()
        log.warning("nobody reads this")
    finally:
        undo()
