"""The note under a study's tables: the budget of its rows."""

from types import SimpleNamespace

from fairexit.config import build_config
from fairexit.evaluation.assess import Choice
from fairexit.study.plan import Study
from fairexit.study.results import settings_note

STUDY = Study((), Choice(), {}, {}, False)


def one(row, seed, **config):
    tree = {"data": {"path": "x"}, "train": {"epochs": 10}, "seed": seed}
    run = SimpleNamespace(config=build_config(tree | config))
    return SimpleNamespace(row=row, seed=seed, runs=(run,), ids=range(7))


def test_equal_budgets_are_stated_once():
    note = settings_note(STUDY, [one(row, seed) for row in "AB" for seed in (0, 1)])
    assert "Each method: 10 epochs, the epoch with the best" in note
    assert "But" not in note
    assert "only" not in note


def test_other_budgets_and_missing_seeds_are_named():
    rows = [one("A", 0), one("A", 1), one("B", 1), one("C", 0), one("C", 1)]
    rows += [one("D", seed, train={"epochs": 20}) for seed in (0, 1)]
    rows += [one("E", seed, prune={"finetune": 3}) for seed in (0, 1)]
    note = settings_note(STUDY, rows)
    assert "B has only seed 1." in note
    assert "But D: 20 epochs, the epoch with the best" in note
    assert "But E: 10 epochs, the epoch with the best" in note
    assert "and 3 of fine-tuning." in note
    assert note.count("But") == 2
