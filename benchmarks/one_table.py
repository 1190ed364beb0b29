"""Run all benchmarks with a peer or a slow twin, and write one table.

    python benchmarks/one_table.py [--quick] [--only NAME ...] [--out FILE.md]

`make bench` calls it. With --quick each benchmark takes seconds, on tiny sizes: that shows that it
works, and its numbers mean nothing. A ratio is the median over rounds of the ratio within a round,
ours to the peer's; the spread is that of the rounds.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from timing import COLUMNS, machine, table

NAMES = ["peers", "augmentation", "bootstrap", "choose", "curvature", "data_wait", "early_exit"]
NAMES += ["exit_overhead", "export", "method_steps", "serve", "snnl", "study", "threshold_sweep"]
"""The benchmarks with a function `compare`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    rows = []
    for name in options.only:
        for row in import_module(name).compare(options.quick):
            rows.append(row.cells())
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    title = "Tiny sizes: these numbers mean nothing. " * options.quick + machine()
    text = f"{title}\n\n{table(COLUMNS, rows)}\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
