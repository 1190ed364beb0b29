"""Progress on standard error: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from fairexit.terminal import note, printable

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Iterate with a progress bar that shows the work and the remaining time.

    Where standard error is not a terminal, nothing is shown.

    Args:
        items: the items, which are passed through.
        description: the text beside the bar.
        total: the number of items.
    """
    with Bar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()


@contextmanager
def steps(show: bool, total: int) -> Iterator[Callable[[str], None]]:
    """Progress over long steps of different kinds: a function to call as each of them begins.

    On a terminal there is a bar with the name of the step, elsewhere a line for each.

    Args:
        show: whether anything is shown.
        total: the number of steps.
    """
    if not show:
        yield silent
        return
    with Bar("", total, done=-1) as bar:

        def begin(text: str) -> None:
            bar.advance(text)
            if not bar.is_terminal:
                bar.line(text)

        yield begin


def silent(text: str) -> None:
    """Show nothing."""


class Bar:
    """A progress bar with a description that may change.

    With a unit the rate is shown too, and where standard error is not a terminal, there is a line
    each minute in place of the bar.

    Args:
        description: the text beside the bar.
        total: the number of steps.
        done: the number of steps that are done at the start.
        unit: what is counted, such as "images"; "" shows no rate.
    """

    def __init__(self, description: str, total: int, done: int = 0, unit: str = "") -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f} {unit} a second" if task.speed else "")

        self.is_terminal = sys.stderr.isatty()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            *([Rate()] if unit else []),
            console=Console(stderr=True),
            transient=True,
            disable=not self.is_terminal,
        )
        self._lines = Lines(description, total, done, unit) if unit else None
        self._task = self._progress.add_task(printable(description), total=total, completed=done)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def advance(self, text: str | None = None, steps: int = 1) -> None:
        """Advance by some steps, and change the description if a text is given."""
        description = None if text is None else printable(text)
        self._progress.update(self._task, advance=steps, description=description)
        if self._lines and not self.is_terminal and (line := self._lines.advance(steps)):
            note(line)

    def line(self, text: str) -> None:
        """Print a line that stays above the bar."""
        if self.is_terminal:
            self._progress.console.print(printable(text), markup=False, highlight=False)
        else:
            note(text)


class Lines:
    """Progress as lines of a log, one each minute; arguments as for `Bar`."""

    every = 60.0

    def __init__(self, description: str, total: int, done: int, unit: str) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.start, self.done = done, done
        self.began = self.shown = time.monotonic()

    def advance(self, steps: int) -> str:
        """Advance by some steps; the line that is due, "" if none is."""
        self.done += steps
        now = time.monotonic()
        if now - self.shown < self.every:
            return ""
        self.shown = now
        rate = (self.done - self.start) / (now - self.began)
        left = (self.total - self.done) / rate if rate else 0.0
        return (
            f"{self.description}: {self.done:,} of {self.total:,} {self.unit}, {rate:,.0f} a "
            f"second, about {max(1, round(left / 60)):,} min left"
        )
