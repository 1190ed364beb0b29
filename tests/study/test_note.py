"""The notes of a study's tables: budgets, and methods without effect."""

import json
from types import SimpleNamespace

from fairexit.config_files import build_config
from fairexit.evaluation.assess import Choice
from fairexit.runs import Run
from fairexit.study.claims import Bounds, Claim, Comparison, Side
from fairexit.study.notes import settings_note
from fairexit.study.outcomes import ClaimOutcome, Outcome
from fairexit.study.paper_tables import inactive
from fairexit.study.plan import Study
from fairexit.study.verdict_tables import outcome_table, verdict_frame

STUDY = Study((), Choice(), {}, {}, False)


def cell(row, seed, **config):
    tree = {"data": {"path": "x"}, "train": {"epochs": 10}, "seed": seed}
    run = SimpleNamespace(config=build_config(tree | config), inactive=())
    return SimpleNamespace(row=row, seed=seed, runs=(run,), ids=range(7))


def test_equal_budgets_are_stated_once():
    note = settings_note(STUDY, [cell(row, seed) for row in "AB" for seed in (0, 1)])
    assert "Each method: 10 epochs, the epoch with the best" in note
    assert "But" not in note
    assert "only" not in note


def test_other_budgets_and_missing_seeds_are_named():
    rows = [cell("A", 0), cell("A", 1), cell("B", 1), cell("C", 0), cell("C", 1)]
    rows += [cell("D", seed, train={"epochs": 20}) for seed in (0, 1)]
    rows += [cell("E", seed, prune={"finetune": 3}) for seed in (0, 1)]
    note = settings_note(STUDY, rows)
    assert "B has only seed 1." in note
    assert "But D: 20 epochs, the epoch with the best" in note
    assert "But E: 10 epochs, the epoch with the best" in note
    assert "and 3 of fine-tuning." in note
    assert note.count("But") == 2


def test_comparisons_with_a_row_that_did_nothing_say_so():
    side = Comparison("eopp1", Side("ME-FairPrune"), Side("FairPrune"), -1)
    values = (3, 0.1, 0.2, -0.1, -0.2, 0.1, Bounds(-0.1, 0.2, 0.3))
    outcomes = [
        Outcome(side, *values, paper=-0.05, smallest=smallest, needed=(9, 7))
        for smallest in (0.04, 0.2)
    ]
    claim = Claim(2, "exits", (side, side))
    result = ClaimOutcome(claim, "not decided", tuple(outcomes))
    frame = verdict_frame([result], {"FairPrune": "nothing pruned"})
    assert list(frame["mark"]) == ["nothing pruned"] * 2
    # The first design detects the printed difference, the second does not.
    assert list(frame["enough"]) == [True, False]
    first, second = outcome_table(frame).rows
    assert first[1] == "eopp1: ME-FairPrune < FairPrune (nothing pruned)"
    assert first[-1] == "this design; ours lies elsewhere"
    assert second[-1] == "9 seeds, 7 images"


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
