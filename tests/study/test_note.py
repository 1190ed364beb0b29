"""The notes of a study's tables: budgets, and methods without effect."""

import json
from types import SimpleNamespace

import numpy as np

from fairexit.config_files import build_config
from fairexit.evaluation.choice import Choice
from fairexit.runs import Run
from fairexit.study.notes import left_out_note, settings_note
from fairexit.study.paper_tables import inactive
from fairexit.study.plan import Study

STUDY = Study((), Choice(), {}, {}, False)


def cell(row, seed, **config):
    tree = {"data": {"path": "x"}, "train": {"epochs": 10}, "seed": seed}
    run = SimpleNamespace(config=build_config(tree | config), inactive=())
    counts, options = np.ones((1, 2, 3, 3), np.int64), {"policy": 0}
    return SimpleNamespace(
        row=row, seed=seed, runs=(run,), ids=range(7), counts=counts, options=options
    )


def test_equal_budgets_are_stated_once():
    note = settings_note(STUDY, [cell(row, seed) for row in "AB" for seed in (0, 1)])
    assert "Each method: 10 epochs, the epoch with the best" in note
    assert "But" not in note
    assert "only" not in note


def test_other_budgets_and_missing_seeds_are_named():
    rows = [cell("A", 0), cell("A", 1), cell("B", 1), cell("C", 0), cell("C", 1)]
    rows += [cell("D", seed, train={"epochs": 20}) for seed in (0, 1)]
    steps = {"method": "scp", "steps": 2, "step_epochs": 1}
    rows += [cell("E", seed, prune={"finetune": 3}) for seed in (0, 1)]
    rows += [cell("F", seed, prune=steps) for seed in (0, 1)]
    note = settings_note(STUDY, rows)
    assert "B has only seed 1." in note
    assert "But D: 20 epochs, the epoch with the best" in note
    assert "But E: 10 epochs, the epoch with the best" in note
    assert "and 3 of fine-tuning." in note
    assert "But F: 10 epochs, the epoch with the best f1, and 2 of fine-tuning." in note
    assert note.count("But") == 3


def test_rows_whose_method_did_nothing_are_marked(tmp_path):
    def run(ratio, fraction=None):
        run = Run(tmp_path / f"run{len([*tmp_path.iterdir()])}")
        run.path.mkdir()
        (run.path / "config.json").write_text(json.dumps({"penalty_ratio": ratio}))
        if fraction is not None:
            path = [{"fraction": 0.0}, {"fraction": fraction}]
            record = {"path": path, "chosen": int(fraction > 0)}
            run.pruning.write_text(json.dumps(record))
        return run

    assert inactive([run(None), run(0.5), run(None, 0.2)]) == ""
    assert inactive([run(0.001), run(0.002)]) == "penalty inactive"
    assert inactive([run(0.001), run(0.02), run(0.5)]) == "penalty inactive in 1 of 3 runs"
    assert inactive([run(None, 0.0), run(None, 0.1)]) == "nothing pruned in 1 of 2 runs"
    both = run(0.001, 0.0)
    assert both.label == f"{both.path.name} (penalty inactive, nothing pruned)"


def test_rows_that_take_no_part_are_named_with_the_reason():
    drawn = SimpleNamespace(left_out={"MFD": "its F1 is 0.051 below that of ERM"}, unchecked=[])
    assert left_out_note(drawn) == (
        "**MFD takes no part in any claim: its F1 is 0.051 below that of ERM.** "
    )
    assert left_out_note(SimpleNamespace(left_out={}, unchecked=[])) == ""
    note = left_out_note(SimpleNamespace(left_out={}, unchecked=["HSIC", "MFD"]))
    assert note.startswith("F1 of HSIC, MFD was not compared with that of ERM")
