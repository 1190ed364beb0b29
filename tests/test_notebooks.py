"""Every notebook of the examples runs from top to bottom, and is stored without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples/notebooks").glob("*.ipynb"))


def code_of(name):
    """The texts of the code cells of a notebook."""
    (file,) = (file for file in NOTEBOOKS if file.stem == name)
    tree = json.loads(file.read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in tree["cells"] if c["cell_type"] == "code"]


def execute(name, folder, result):
    """Execute a notebook's code cells in one namespace, in a process of its own.

    Returns:
        The value of the expression `result`, and what the cells have printed.
    """
    program = (
        "import json, sys\n"
        "namespace = {'__name__': '__main__'}\n"
        "cells, result = json.load(sys.stdin)\n"
        "for number, cell in enumerate(cells, start=1):\n"
        "    exec(compile(cell, f'code cell {number}', 'exec'), namespace)\n"
        "print('\\n' + json.dumps(eval(result, namespace)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([code_of(name), result]),
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    printed, _, value = done.stdout.rstrip("\n").rpartition("\n")
    return json.loads(value), printed


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_has_no_outputs(file):
    tree = json.loads(file.read_text(encoding="utf-8"))
    assert (tree["nbformat"], tree["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in tree["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in tree["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_every_notebook_is_executed_below():
    assert [file.stem for file in NOTEBOOKS] == ["audit_a_table", "train_and_repair"]


def test_the_audit_finds_what_was_drawn(tmp_path):
    (gap, rows), printed = execute("audit_a_table", tmp_path, "[gap, len(sensitivity)]")
    assert 0.1 < gap < 0.5, "drawn with 0.3"
    assert rows == 5, "two sexes and three ages"
    first = printed.splitlines()[0]
    assert first.startswith("malignant by sex: ")
    assert "more than chance" in first
    assert (tmp_path / "audit.html").is_file()


def test_the_planted_cause_is_repaired(tmp_path):
    highs, printed = execute("train_and_repair", tmp_path, "comparison['high'].to_dict()")
    # The whole interval of the difference is below zero.
    assert highs["eodd_weighted"] < 0
    assert " by camera: " in printed
    assert (tmp_path / "repaired.html").is_file()
