"""A metric of one's own in one file: it stands in every table, rule and report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drawn_predictions import draw
from fairexit.predictions.files import write_predictions

OWN = '''
from fairexit.metrics import fpr, gap, metric
from fairexit.metrics.rates import mean_known, range_known, ratio_known


@gap("fpr_gap", label="FPR gap", rates=[fpr])
def fpr_gap(alarms):
    """Mean over classes of the range of FPR over groups."""
    return mean_known(range_known(alarms, -2))


@metric("hit_share", label="share of hits")
def hit_share(m):
    """Share of correct answers."""
    return ratio_known(m.hits.sum((-2, -1)), m.actual.sum((-2, -1)))
'''


def fairexit(*words: object) -> str:
    """What a command line prints; in a process of its own, as a plugin stays registered."""
    done = subprocess.run(
        [sys.executable, "-m", "fairexit", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "own.py").write_text(OWN)
    write_predictions(draw(n=300, exits=2, gap=0.2), tmp_path / "p.csv")
    return tmp_path / "own.py", tmp_path / "p.csv"


def test_an_audit_and_an_evaluation_have_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    own, table = files
    plugin = ("--plugin", own)
    assert "own.py" in fairexit("list", "metrics", *plugin)
    few = ("--resamples", 100, "--score-resamples", 100, "--permutations", 200)
    words = ("audit", table, "--group", "sex", "--threshold", 0.8, *few, *plugin)
    audit = json.loads(fairexit(*words, "--json", "-"))["attributes"][0]
    gap = next(gap for gap in audit["gaps"] if gap["metric"] == "fpr_gap")
    assert 0 < gap["null_mean"] < gap["null_quantile"] < gap["min_detectable_gap"]
    assert audit["overall"]["hit_share"]["value"] == audit["overall"]["accuracy"]["value"]
    page = tmp_path / "page.html"
    fairexit(*words, "--out", page, "--card", tmp_path / "card.md")
    assert "FPR gap" in page.read_text()
    assert "FPR gap by sex" in (tmp_path / "card.md").read_text()
    words = ("evaluate", table, "--group", "sex", "--threshold", 0.8, "--json", *plugin)
    assert json.loads(fairexit(*words))["fpr_gap"] == gap["estimate"]["value"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rates=[fpr]", "metric 'fpr_gap': its function must take 2 arguments (arrays of rates)"),
        ('"fpr_gap"', "metric 'eodd' is registered already, by fairexit"),
    ],
)
def test_a_wrong_one_is_one_line(files: tuple[Path, Path], line: str, message: str) -> None:
    own, table = files
    changed = {"rates=[fpr]": "rates=[fpr, fpr]", '"fpr_gap"': '"eodd"'}[line]
    own.write_text(OWN.replace(line, changed))
    words = [sys.executable, "-m", "fairexit", "evaluate", str(table), "--plugin", str(own)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert str(own) in done.stderr
    assert len(done.stderr.splitlines()) == 1
