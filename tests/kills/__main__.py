"""The long run: many cases, a log from which it resumes, and a table of what came of them."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .base import Base, warm
from .cases import Outcome, can_mount, run_case
from .commands import BY_NAME


def read_log(log: Path) -> dict[int, Outcome]:
    """Number of a case -> what came of it."""
    lines = log.read_text().splitlines() if log.is_file() else []
    records = [json.loads(line) for line in lines]
    return {record.pop("case"): Outcome(**record) for record in records}


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table: command, what disturbed it, how often, and what was wrong."""
    rows = [
        ["command", "disturbed by", "cases", "disturbances", "differing", "left over", "faults"]
    ]
    rows.append(["---"] * 2 + ["---:"] * 5)
    pairs = sorted({(outcome.command, outcome.kind) for outcome in outcomes})
    for command, kind in [*pairs, ("all", "")]:
        chosen = [o for o in outcomes if (o.command, o.kind) == (command, kind) or not kind]
        numbers = [
            len(chosen),
            sum(outcome.hits for outcome in chosen),
            sum(bool(outcome.differing) for outcome in chosen),
            sum(bool(outcome.left) for outcome in chosen),
            sum(bool(outcome.fault) for outcome in chosen),
        ]
        rows.append([command, kind, *map(str, numbers)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def run(base: Base, log: Path, seed: int, numbers: Sequence[int], names: list[str]) -> None:
    """Run the cases that the log lacks."""
    commands = [BY_NAME[name] for name in names]
    done = read_log(log)
    for number in numbers:
        if number not in done:
            # A TemporaryDirectory would also be removed at the end of every forked process.
            folder = Path(tempfile.mkdtemp(dir=base.folder))
            outcome = run_case(base, folder, seed, number, commands=commands)
            shutil.rmtree(folder)
            with log.open("a") as file:
                file.write(json.dumps({"case": number, **vars(outcome)}) + "\n")
            if is_bad(outcome):
                show(number, outcome)


def is_bad(outcome: Outcome) -> bool:
    return bool(outcome.differing or outcome.left or outcome.fault)


def show(number: int, outcome: Outcome) -> None:
    print(f"case {number}: {outcome}".replace("\\n", "\n  "), file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--cases", type=int, default=200, help="number of cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("kills.jsonl"), help="also to resume")
    parser.add_argument("--base", type=Path, help="folder of the undisturbed results, to keep them")
    parser.add_argument("--commands", nargs="+", choices=[*BY_NAME], default=[*BY_NAME])
    parser.add_argument("--case", type=int, help="repeat one case and show it")
    parser.add_argument("--keep", type=Path, help="with --case, the folder that keeps its files")
    given = parser.parse_args()
    warm()
    folder = Path(given.base or tempfile.mkdtemp()).resolve()
    base = Base(folder)
    try:
        if given.case is not None:
            commands = [BY_NAME[name] for name in given.commands]
            keep = (given.keep or Path(tempfile.mkdtemp())).resolve()
            outcome = run_case(base, keep, given.seed, given.case, commands=commands)
            show(given.case, outcome)
            print(keep)
            return int(is_bad(outcome))
        run(base, given.log, given.seed, range(given.cases), given.commands)
    finally:
        if not given.base:
            shutil.rmtree(folder)
    outcomes = [*read_log(given.log).values()]
    print(table(outcomes))
    disk = "a small file system in memory" if can_mount() else "a limit on the size of each file"
    print(f"\nseed {given.seed}; the full disk is {disk}")
    return int(any(map(is_bad, outcomes)))


if __name__ == "__main__":
    sys.exit(main())
