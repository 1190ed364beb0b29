"""Dozens of disturbed commands, with a fixed seed; see `python -m tests.kills` for hundreds."""

import json
import os
import subprocess
import sys
from pathlib import Path

from kills.cases import KINDS

CASES = 48
QUICK = ["prepare", "plant", "train", "refit", "predict", "evaluate", "calibrate", "choose"]
QUICK += ["predict, images", "audit"]
SECONDS = 1500


def test_disturbed_commands_end_as_if_undisturbed(tmp_path):
    log = tmp_path / "kills.jsonl"
    words = ["-m", "tests.kills", "--cases", CASES, "--log", log, "--commands", *QUICK]
    # Forked from a process without threads, which that of the tests is not.
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(records) == CASES
    assert {record["command"] for record in records} == set(QUICK)
    assert {record["kind"] for record in records} == set(KINDS)
    assert sum(record["hits"] for record in records) >= CASES // 2
