"""What the project says of itself agrees with the project."""

import re
import tomllib
from pathlib import Path

import yaml

from fairexit.version import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_names_this_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (__version__, PROJECT["license"])
    assert citation["keywords"] == PROJECT["keywords"]


def test_the_version_is_semantic():
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_hooks_are_the_checks_of_make_lint_and_need_no_download():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [" ".join(hook["entry"].split()[:2]) for hook in config["repos"][0]["hooks"]]
    lint = re.findall(r"\$\(BIN\)/((?:ruff|mypy)(?: \w+)?)", (ROOT / "Makefile").read_text())
    assert hooks == [f".venv/bin/{words}" for words in lint]


def test_the_architecture_names_every_part():
    table = (ROOT / "docs" / "architecture.md").read_text().partition("## Where to put what")[2]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    parts = {path.parent.name for path in (ROOT / "src" / "fairexit").glob("*/__init__.py")}
    assert named == parts
