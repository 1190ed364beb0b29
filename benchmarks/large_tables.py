"""Time and memory of evaluate and audit on large tables.

Makes each table once, runs the commands as a user does, each in a process of its own, and prints a
Markdown table: seconds, seconds of the CPU, and the peak of resident memory.

    python benchmarks/large_tables.py --folder /tmp/tables
    python benchmarks/large_tables.py --only "audit, 500 groups"
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from timing import table

BLOCK = 100_000


@dataclass(frozen=True)
class Shape:
    """The size of a table; `patients` are its clusters, `suffix` is the form of its file."""

    rows: int
    classes: int
    exits: int
    groups: int = 2
    patients: int = 0
    answers_only: bool = False
    suffix: str = ".parquet"


ROWS = 5_000_000
SHAPES = {
    "rows": Shape(ROWS, 8, 5),
    "rows-patients": Shape(ROWS, 8, 5, patients=ROWS // 3),
    "rows-csv": Shape(ROWS, 8, 5, suffix=".csv"),
    "classes": Shape(200_000, 2_000, 1),
    "classes-answers": Shape(200_000, 2_000, 1, answers_only=True),
    "groups": Shape(200_000, 8, 5, groups=500),
}

AT = ["--group", "group", "--threshold", "0.9"]
RUNS = {
    "evaluate, 5 million rows": ("rows", ["evaluate", *AT]),
    "evaluate, 5 million rows, CSV": ("rows-csv", ["evaluate", *AT]),
    "audit, 5 million rows": ("rows", ["audit", *AT, "--out", "{out}"]),
    "audit, 5 million rows, patients": ("rows-patients", ["audit", *AT, "--out", "{out}"]),
    "evaluate, 2,000 classes": ("classes", ["evaluate", *AT]),
    "audit, 2,000 classes": ("classes", ["audit", *AT, "--out", "{out}"]),
    "audit, 2,000 classes, answers": ("classes-answers", ["audit", *AT, "--out", "{out}"]),
    "evaluate, 500 groups": ("groups", ["evaluate", *AT]),
    "audit, 500 groups": ("groups", ["audit", *AT, "--out", "{out}"]),
}


def blocks(shape: Shape) -> Iterator[Any]:
    """A table in parts; answers are better at later exits and worse in higher groups."""
    rng = np.random.default_rng(0)
    names = [f"class {c:04d}" for c in range(shape.classes)]
    for start in range(0, shape.rows, BLOCK):
        n = min(BLOCK, shape.rows - start)
        labels = rng.integers(0, shape.classes, n)
        patients = np.arange(start, start + n)
        if shape.patients:
            patients = rng.integers(0, shape.patients, n)
        groups = patients * 7919 % shape.groups
        columns = {
            "id": np.char.add("image-", np.arange(start, start + n).astype(str)),
            "label": np.array(names)[labels],
            "group": np.char.add("g", groups.astype(str)),
        }
        if shape.patients:
            columns["cluster"] = np.char.add("patient-", patients.astype(str))
        for e in range(shape.exits):
            logits = rng.standard_normal((n, shape.classes), np.float32)
            logits[np.arange(n), labels] += 2 + e - groups / shape.groups
            logits += np.log(shape.classes / 8) * (np.arange(shape.classes) == labels[:, None])
            if shape.answers_only:
                columns["prediction"] = np.array(names)[logits.argmax(1)]
                continue
            values = np.exp(logits)
            values /= values.sum(1, keepdims=True)
            exit_ = "" if shape.exits == 1 else "f" if e == shape.exits - 1 else str(e + 1)
            columns |= {f"p{exit_}/{name}": values[:, c] for c, name in enumerate(names)}
        yield pa.table(columns)


def make(shape: Shape, path: Path) -> None:
    """Write a table."""
    parts = blocks(shape)
    first = next(parts)
    is_csv = path.suffix == ".csv"
    writer = (pyarrow.csv.CSVWriter if is_csv else pyarrow.parquet.ParquetWriter)(
        path, first.schema
    )
    with writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part)


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of the CPU, and peak resident memory in GB of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fairexit", *command], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"fairexit {' '.join(command)} ended with status {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("large-tables"))
    parser.add_argument("--only", action="append", choices=RUNS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    rows = []
    for name in arguments.only or RUNS:
        kind, command = RUNS[name]
        path = arguments.folder / f"{kind}{SHAPES[kind].suffix}"
        if not path.exists():
            make(SHAPES[kind], path)
        out = str(arguments.folder / f"{kind}.html")
        first, *rest = (word.format(out=out) for word in command)
        seconds, cpu, peak = run([first, str(path), *rest])
        rows.append([name, f"{seconds:.0f} s", f"{cpu:.0f} s", f"{peak:.1f} GB"])
        print(table(["command", "time", "CPU", "peak memory"], rows[-1:]), file=sys.stderr)
    print(table(["command", "time", "CPU", "peak memory"], rows))


if __name__ == "__main__":
    main()
