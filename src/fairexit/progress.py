"""Progress on standard error: a bar on a terminal, plain lines in a log."""

import sys
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

    Args:
        description: the text beside the bar.
        total: the number of steps.
        done: the number of steps that are done at the start.
    """

    def __init__(self, description: str, total: int, done: int = 0) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.is_terminal = sys.stderr.isatty()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not self.is_terminal,
        )
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

    def advance(self, text: str | None = None) -> None:
        """Advance by one step, and change the description if a text is given."""
        description = None if text is None else printable(text)
        self._progress.update(self._task, advance=1, description=description)

    def line(self, text: str) -> None:
        """Print a line that stays above the bar."""
        if self.is_terminal:
            self._progress.console.print(printable(text), markup=False, highlight=False)
        else:
            note(text)
