"""Functions that the benchmarks share: timing, a description of the machine, and tables."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


def machine() -> str:
    """The versions, threads and processor, on one line."""
    import torch

    return (
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    )


def alternate(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each run in each round.

    The runs take turns, so that all of them meet the same load of the machine.

    Args:
        runs: name -> what is timed.
        rounds: number of rounds, after one that warms up.
        clock: returns seconds; `time.process_time` for those of the processor, on a busy machine.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if number:  # the first round warms up
                seconds[name].append(clock() - start)
    return seconds


def ratio(seconds: Sequence[float], base: Sequence[float]) -> float:
    """Median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(seconds, base, strict=True))


@dataclass(frozen=True)
class Row:
    """One comparison: how long something takes, beside a peer that does the same.

    Every benchmark of `make bench` has a function `compare(quick)` that yields such rows; with
    `quick` it takes seconds, to show that it works, and its numbers mean nothing.

    Attributes:
        what: what is done.
        ours: seconds in each round.
        peer: what it is compared with; empty if it is compared with nothing.
        theirs: seconds of the peer in each round; empty if it is not installed.
        per: how many things are done in these seconds, such as images.
    """

    what: str
    ours: Sequence[float]
    peer: str = ""
    theirs: Sequence[float] = ()
    per: float = 1

    def cells(self) -> list[str]:
        """What, ours, the peer, its time, the ratio and its spread over the rounds."""
        ours = duration(statistics.median(self.ours) / self.per)
        if not self.theirs:
            return [self.what, ours, self.peer, "not installed" if self.peer else "", "", ""]
        ratios = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        return [
            self.what,
            ours,
            self.peer,
            duration(statistics.median(self.theirs) / self.per),
            f"{statistics.median(ratios):.3g}",
            f"{min(ratios):.3g} to {max(ratios):.3g}",
        ]


COLUMNS = ["what", "ours", "peer", "the peer's", "ratio", "spread"]


def duration(seconds: float) -> str:
    """Seconds, with a unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
