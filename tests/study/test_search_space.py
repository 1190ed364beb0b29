"""What a search tries where no setting is named: valid, documented, and of the right run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import settings
from fairexit.config_files import build_config
from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.methods import methods
from fairexit.pruning.criteria import criteria
from fairexit.runs import open_run
from fairexit.study import search as module
from fairexit.study.rows import merge
from fairexit.study.search import default_axes, search
from fairexit.study.trials import parse_axis

DOCS = Path(__file__).parents[2] / "docs" / "methods.md"
NAMES = methods.names()


@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_each_axis_are_settings_of_a_run(name):
    tree = settings("d", method={"name": name}).to_dict()
    axes = default_axes(build_config(tree))
    assert axes
    assert module._spaces(tree, axes).keys() == {axis.key for axis in axes}
    for axis in axes:
        assert parse_axis(str(axis)) == axis
        for value in axis.values:
            config = build_config(merge(tree, {axis.key: value}))
            options = {key: v for key, v in config.method.items() if key != "name"}
            methods.check(name, options)


@pytest.mark.parametrize("ranking", criteria.names())
def test_a_run_that_is_pruned_is_searched_for_its_pruning_alone(ranking):
    config = settings("d", method={"name": "hsic"}, prune={"method": ranking})
    axes = default_axes(config)
    assert all(axis.key.startswith("prune.") for axis in axes)
    by_curvature = ranking in ("fairprune", "fairquantize")
    assert ("prune.beta" in [axis.key for axis in axes]) == by_curvature
    for axis in axes:
        for value in axis.values:
            assert replace(PruneConfig(), **{axis.key.removeprefix("prune."): value})


def test_the_docs_show_every_search_space():
    text = DOCS.read_text(encoding="utf-8").partition("## What a search tries")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    shown = {name: re.findall(r"`([^`]+)`", cell) for name, cell in rows.items()}
    assert shown == {name: [*map(str, methods[name].search_space)] for name in NAMES}
    for ranking in criteria.names():
        space = criteria[ranking].search_space
        line = next(row for row in text.splitlines() if f"`{ranking}`" in row)
        assert all(f"`{axis}`" in line for axis in space)


def test_a_method_without_a_search_space_needs_one_to_be_named(monkeypatch):
    monkeypatch.setattr(methods["hsic"], "search_space", ())
    with pytest.raises(UserError, match="method 'hsic' does not say which of its settings"):
        default_axes(settings("d", method={"name": "hsic"}))


def test_tune_searches_the_space_of_the_method(command, tmp_path, monkeypatch):
    asked = []

    def ask(tree, axes, out, **options):
        asked.append((axes, options["trials"]))
        raise UserError("asked")

    monkeypatch.setattr(module, "search", ask)
    file = tmp_path / "run.yaml"
    file.write_text(settings("d", method={"name": "jtt"}).to_yaml())
    status, out, _ = command("tune", file, "--out", tmp_path / "t")
    assert status == 2
    assert "searched by default: method.epochs=1:10:log, method.factor=2:50:log" in out
    assert asked == [([*methods["jtt"].search_space], 8)]
    command("tune", file, "--out", tmp_path / "t", "--search", "method.factor=2,3")
    assert asked[1][0] == [parse_axis("method.factor=2,3")]


def test_trials_of_dfr_refit_one_network(tiny, tmp_path):
    tree = settings(tiny.path, method={"name": "dfr", "refits": 1}, train__epochs=1).to_dict()
    _, trials = search(tree, [*methods["dfr"].search_space], tmp_path / "t", trials=3)
    assert {trial.settings["method.balance"] for trial in trials} == {"cells", "groups"}
    assert open_run(tmp_path / "t" / "erm").config.method == {"name": "erm"}
    made = list((tmp_path / "t").glob("trial?"))
    assert len(made) == 2
    assert not any((folder / "erm").exists() for folder in made)
