"""The long run of the fuzzer, in processes whose memory and time are bounded."""

import argparse
import faulthandler
import importlib
import json
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

MEMORY = 12 << 30
"""Bytes of address space of a process; PyTorch alone maps several GB."""
HANGS = 150
"""Seconds after which a case that no signal ends is killed."""
CHUNK = 200


def work(base: Path, log: Path, seed: int, cases: list[int]) -> None:
    """Run cases one after another; each is logged when it starts and when it ends."""
    # Imported here, since a first import that the time limit of a case cuts off cannot be repeated.
    importlib.import_module("torchvision")

    from .cases import run_case

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for case in cases:
        _append(log, {"case": case, "started": True})
        faulthandler.dump_traceback_later(HANGS, exit=True)
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_case(base, Path(folder), seed, case)
        faulthandler.cancel_dump_traceback_later()
        _append(log, {"case": case, **vars(outcome)})


def _append(log: Path, record: dict[str, Any]) -> None:
    with log.open("a") as file:
        file.write(json.dumps(record) + "\n")


def _read(log: Path) -> tuple[dict[int, dict[str, Any]], set[int]]:
    """The records of finished cases, and the cases that have started."""
    done, started = {}, set()
    for line in log.read_text().splitlines() if log.is_file() else []:
        record = json.loads(line)
        started.add(record["case"])
        if "started" not in record:
            done[record["case"]] = record
    return done, started


def run(base: Path, log: Path, seed: int, number: int) -> list[dict[str, Any]]:
    """Run all cases that the log lacks; a case at which the process died is a fault."""
    while True:
        done, started = _read(log)
        for case in started - done.keys():
            _append(log, {"case": case, "door": "?", "words": [], "fault": "the process died"})
        left = [case for case in range(number) if case not in started]
        faults = [record for record in _read(log)[0].values() if record["fault"]]
        print(f"{number - len(left)} of {number} cases, {len(faults)} faults", flush=True)
        if not left:
            return faults
        words = [sys.executable, "-m", "tests.fuzz", "--work", str(base), "--log", str(log)]
        chunk = ",".join(map(str, left[:CHUNK]))
        subprocess.run([*words, "--seed", str(seed), "--chunk", chunk], check=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="number of cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("fuzz.jsonl"), help="log, also to resume")
    parser.add_argument("--base", type=Path, help="folder of the sound inputs, made if absent")
    parser.add_argument("--case", type=int, help="repeat one case and show it")
    parser.add_argument("--keep", type=Path, help="with --case, the folder that keeps its files")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--chunk", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.log.resolve(), given.seed, [*map(int, given.chunk.split(","))])
        return 0
    base = (given.base or Path(tempfile.mkdtemp()) / "base").resolve()
    if not base.exists():
        from .seeds import make_base

        make_base(base)
    if given.case is not None:
        from .cases import run_case

        folder = (given.keep or Path(tempfile.mkdtemp())).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        outcome = run_case(base, folder, given.seed, given.case)
        print(f"{folder}\n{outcome.door}: {outcome.words}\nstatus {outcome.status}")
        print(f"{outcome.errors}{outcome.fault}")
        return bool(outcome.fault)
    faults = run(base, given.log, given.seed, given.cases)
    for fault in faults:
        last = (fault["fault"].strip().splitlines() or [""])[-1]
        print(f"{fault['case']} {fault['door']}: {last}")
    print(dict(Counter(fault["door"] for fault in faults)))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
