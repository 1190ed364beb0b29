"""What is not installed is said in one line, and what works on tables does without it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fairexit
import fairexit.metrics
from fairexit.errors import UserError
from fairexit.extras import EXTRAS, is_installed, require
from fairexit.inventory import inventory
from fairexit.study.search import search

PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]


def without(*names):
    """Code in front of a program, that hides packages as if they were not installed."""
    return f"import sys; sys.modules |= dict.fromkeys({names!r})\n"


@pytest.fixture
def hide(monkeypatch):
    def hide(name):
        monkeypatch.setitem(sys.modules, name, None)

    return hide


def packages(extra):
    """The distributions that an extra of pyproject.toml asks for, those of its extras too."""
    for requirement in PROJECT["optional-dependencies"][extra]:
        if inner := re.fullmatch(r"fairexit\[(.*)\]", requirement):
            for name in inner[1].split(","):
                yield from packages(name)
        else:
            yield re.match(r"[\w-]+", requirement)[0].replace("-", "_")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_what_pyproject_says(extra):
    assert set(EXTRAS[extra]) == set(packages(extra))
    # The trackers are large, and no test needs them.
    assert is_installed(extra) or not set(EXTRAS[extra]) <= set(packages("dev"))


def test_all_extras_but_the_developers_are_known():
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - {"bench", "dev", "docs"}


def test_an_absent_extra_is_named(hide):
    require("train", "fairexit train")
    hide("timm")
    message = r"^fairexit train needs the extra 'train': pip install 'fairexit\[train\]'$"
    with pytest.raises(UserError, match=message):
        require("train", "fairexit train")


@pytest.mark.parametrize(
    "name",
    ["Classifier", "create_model", "early_exit", "list_models", "load_model", "save_run"],
)
def test_public_names_say_what_they_need(hide, name):
    assert name in dir(fairexit)
    hide("torch")
    with pytest.raises(UserError, match=f"^fairexit.{name} needs the extra 'train': pip"):
        getattr(fairexit, name)
    assert name not in dir(fairexit)


def test_what_needs_an_extra_says_so(hide, tmp_path):
    hide("torch")
    with pytest.raises(UserError, match=r"metrics.GroupFairness needs the extra 'train': pip"):
        _ = fairexit.metrics.GroupFairness
    with pytest.raises(UserError, match=r"^the search of hyper-parameters needs the extra"):
        search({}, [], tmp_path, trials=1)


def test_lists_that_need_torch_are_named_where_it_is_absent(hide):
    assert len(inventory()) == 7
    hide("torch")
    *shown, absent = inventory()
    assert [table.title.split()[0] for table in shown] == ["Datasets", "Metrics", "Trackers"]
    assert [row[0] for row in absent.rows] == ["methods", "pruning", "heads", "backbones"]
    with pytest.raises(UserError, match=r"^the list of heads needs the extra 'train': pip"):
        inventory("heads")


TABLE = "label,sex,p/a,p/b\n" + "a,f,0.9,0.1\nb,f,0.8,0.2\na,m,0.7,0.3\nb,m,0.1,0.9\n" * 15


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "t.csv", "--group", "sex"],
        ["audit", "t.csv", "--group", "sex", "--out", "a.html", "--card", "a.md"],
        ["report", "t.csv", "--group", "sex", "--out", "r.html"],
        ["prepare", "synthetic", "--out", "data", "--size", "16", "--set", "images=40"],
        ["list"],
    ],
    ids=lambda words: words[0],
)
def test_commands_on_tables_work_without_any_extra(tmp_path, words):
    (tmp_path / "t.csv").write_text(TABLE)
    code = without(*EXTRAS["search"]) + (
        f"sys.argv = ['fairexit', *{words!r}]\nfrom fairexit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_help_of_the_package_works_without_any_extra():
    code = without(*EXTRAS["search"]) + "import fairexit; help(fairexit); help(fairexit.metrics)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "PACKAGE CONTENTS" in done.stdout
