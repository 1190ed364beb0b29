"""One case of the fuzzer: mutate, call the command in this process, and judge what came of it."""

import contextlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from fairexit import cli

from .doors import DOORS
from .meaning import check_meaning

SECONDS = 30
"""Seconds of the CPU that a command may take; it may take four times as many of the clock."""
LONGEST = 1_500
"""Characters of an error line; long values are cut off well before."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        door: the door.
        words: the words of the command.
        status: the exit status, None if there was an exception.
        fault: what is wrong with it; empty if nothing is.
        errors: what the command wrote to standard error.
    """

    door: str
    words: list[str]
    status: int | None
    fault: str
    errors: str


class _TimeIsUp(BaseException):
    pass


def _stop(*_: Any) -> None:
    raise _TimeIsUp


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def call(words: list[str]) -> tuple[int | None, str, str, str]:
    """Run a command line in this process.

    Returns:
        The exit status, the two outputs, and the traceback of an exception that got out.
    """
    out, errors, trace, status = io.StringIO(), io.StringIO(), "", None
    clocks = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}
    old = {number: signal.signal(number, _stop) for number in clocks.values()}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 4 * SECONDS)
    try:
        with (
            mock.patch.object(sys, "argv", ["fairexit", *words]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
            warnings.catch_warnings(),
        ):
            cli.main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    except _TimeIsUp:
        trace = f"not done after {SECONDS} seconds"
    except Exception:
        trace = traceback.format_exc()
    finally:
        for clock, number in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(number, old[number])
    return status, out.getvalue(), errors.getvalue(), trace


def run_case(base: Path, folder: Path, seed: int, case: int) -> Outcome:
    """Run one case in an empty folder."""
    rng = Random(f"{seed}-{case}")
    names = [*DOORS, "meaning"]
    shares = [share for share, _ in DOORS.values()] + [5]
    door = rng.choices(names, shares)[0]
    with _in_folder(folder):
        if door == "meaning":
            return Outcome(door, *check_meaning(folder, rng, call))
        words = DOORS[door][1](base, folder, rng)
        status, _, errors, trace = call(words)
        return Outcome(door, words, status, _fault(folder, status, errors, trace), errors)


def _fault(folder: Path, status: int | None, errors: str, trace: str) -> str:
    """What is wrong with the end of a command, or ""."""
    if trace:
        return trace
    if status not in (0, 2):
        return f"status {status}"
    messages = [line for line in errors.splitlines() if line.startswith("fairexit: ")]
    if "Traceback" in errors:
        return "a traceback in the output"
    if set(errors) & {"\x1b", "\x07", "\u202e", "\r"}:
        return "a control character in the output"
    if status == 2 and len(messages) != 1:
        return f"{len(messages)} error lines"
    if max(map(len, messages), default=0) > LONGEST:
        return f"an error line of {max(map(len, messages))} characters"
    made = [file.name for file in folder.iterdir() if file.name.startswith((".", "out"))]
    if partial := [name for name in made if name.startswith(".")]:
        return f"left behind: {partial}"
    return f"written in spite of status 2: {made}" if status == 2 and made else ""
