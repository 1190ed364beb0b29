"""Functions that the benchmarks share: timing, a description of the machine, and tables."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


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

    The runs take turns, so that all of them meet the same load of the machine. What runs in one
    thread can be measured by `time.process_time`, which leaves out the time of other processes.
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


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
