"""Every benchmark of `make bench` still runs; on tiny sizes, whose numbers mean nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(FOLDER))

from one_table import NAMES  # noqa: E402
from timing import COLUMNS, Row, duration  # noqa: E402


def test_the_table_has_all_benchmarks_that_compare():
    files = FOLDER.glob("*.py")
    defined = {
        file.stem
        for file in files
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "compare"
    }
    assert defined == set(NAMES)


def test_one_table_of_all_benchmarks(tmp_path):
    out = tmp_path / "table.md"
    words = [sys.executable, FOLDER / "one_table.py", "--quick", "--out", out]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    title, _, header, _, *rows = out.read_text().splitlines()
    assert title.startswith("Tiny sizes: these numbers mean nothing. torch ")
    assert header == "| " + " | ".join(COLUMNS) + " |"
    text = "\n".join(rows)
    for what in (
        "bootstrap of 1",
        "slices of up to",
        "early exit, no image leaves, batch 1,",
        "a JPEG file",
        "augmentation",
        "bootstrap of all",
        "choice at",
        "exact curvature",
        "waiting for images",
        "early exit, batch 64",
        "training step, heads",
        "exported, batch",
        "training step by hsic",
        "serving 16 clients",
        "exact SNNL",
        "results of a study",
        "sweep over",
    ):
        assert f"| {what}" in text, what
    assert [file.name for file in tmp_path.iterdir()] == ["table.md"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(90.0, "90 s"), (0.5, "500 ms"), (2.5e-5, "25 µs"), (0.0, "0 µs")]
)
def test_durations_have_a_unit_that_suits_them(seconds, text):
    assert duration(seconds) == text


def test_a_ratio_is_that_within_a_round():
    row = Row("x", [1.0, 4.0, 3.0], "y", [2.0, 1.0, 3.0], per=10)
    assert row.cells() == ["x", "300 ms", "y", "200 ms", "1", "0.5 to 4"]


def test_a_peer_that_is_not_installed_is_said():
    assert Row("x", [1.0], "y").cells() == ["x", "1 s", "y", "not installed", "", ""]
    assert Row("x", [1.0]).cells() == ["x", "1 s", "", "", "", ""]
