"""What a method changes against plain training."""

import numpy as np
import pytest
from fake_runs import write_run

from fairexit.config_files import build_config
from fairexit.evaluation.policy import Policy
from fairexit.metrics.record import main_metrics
from fairexit.predictions.files import read_predictions
from fairexit.runs import Run
from fairexit.study.against import against_others as compared
from fairexit.study.against import against_table, kept_row
from fairexit.study.collect import Pooled
from fairexit.study.drawn import draw_study

LOG = """epoch,val_f1,val_eodd,val_probe1,val_probef,seconds
1,0.3,0.02,0.9,0.7,2
2,0.5,0.05,0.8,0.{probe},2
3,0.5,0.01,0.6,0.5,2
"""


def against_others(study, named):
    return compared(study, named, draw_study(study, [], None))


@pytest.fixture
def pooled(tmp_path):
    def make(row, seed, method="erm", exits="all", skill=2.0, **config):
        tree = {"data": {"path": "x", "group": "sex"}, "model": {"exits": exits}, "seed": seed}
        settings = build_config(tree | {"method": {"name": method}} | config)
        path = tmp_path / f"{row}-{seed}"
        write_run(path, settings.to_dict(), 0.002 * (seed + 1), skill=skill)
        (path / "log.csv").write_text(LOG.format(probe=60 + 2 * seed))
        run = Run(path)
        predictions = read_predictions(run.predictions("test"))
        order = np.argsort(predictions.ids)
        return Pooled(row, seed, (run,), (predictions,), (Policy(0.9),), order, "sex")

    return make


def test_rows_stand_beside_the_plain_one_of_the_same_exits(pooled):
    study = [pooled("ERM", s, exits="none") for s in range(2)]
    study += [pooled("ME-ERM", s) for s in range(2)]
    study += [pooled("ME-FairPrune", s, prune={"steps": 1}) for s in range(2)]
    study += [pooled("ME-HSIC", s, "hsic", skill=6.0) for s in range(3)]
    frame = against_others(study, {}).set_index("row")
    assert frame["against"].to_dict() == {
        "ERM": "", "ME-ERM": "", "ME-FairPrune": "ME-ERM", "ME-HSIC": "ME-ERM",
    }  # fmt: skip
    assert frame.loc[["ERM", "ME-ERM"], "f1"].isna().all()
    hsic = frame.loc["ME-HSIC"]
    assert hsic["f1_low"] > 0, "it was drawn to be more able"
    for metric in main_metrics():
        # Seed 2 has no partner.
        values = [
            [cell.values[metric][0] for cell in study if cell.row == row and cell.seed < 2]
            for row in ("ME-HSIC", "ME-ERM")
        ]
        assert hsic[metric] == pytest.approx(np.mean(values[0]) - np.mean(values[1]))
        assert -1 <= hsic[f"{metric}_low"] <= hsic[metric] <= hsic[f"{metric}_high"] <= 1
    assert hsic["penalty"] == pytest.approx(0.004)
    assert hsic["probe_first"] == pytest.approx(0.8)
    assert hsic["probe_final"] == pytest.approx(0.62)
    assert hsic["probe_final_sd"] == pytest.approx(0.02)
    text = against_table(frame.reset_index()).to_markdown()
    assert (
        "| ME-HSIC (penalty inactive) | ME-ERM | 0.4 % | 0.800 ± 0.000 | 0.620 ± 0.020 | +0."
        in text
    )
    assert "| ME-ERM (penalty inactive) |  | 0.3 % |" in text


def test_without_a_plain_row_there_is_no_difference(pooled):
    frame = against_others([pooled("HSIC", 0, "hsic"), pooled("ERM", 0, exits="none")], {})
    assert "f1" not in frame
    assert list(frame["against"]) == ["", ""]
    assert "HSIC" in against_table(frame).to_markdown()


def test_a_row_can_name_the_one_it_is_compared_with(pooled):
    study = [pooled("ERM", s, exits="none") for s in range(2)]
    study += [pooled("ME-ERM", s, skill=6.0) for s in range(2)]
    named = {"ME-ERM": "ERM", "ERM": "not finished"}
    frame = against_others(study, named).set_index("row")
    assert frame["against"].to_dict() == {"ERM": "", "ME-ERM": "ERM"}
    values = {
        row: [cell.values["f1"][0] for cell in study if cell.row == row] for row in frame.index
    }
    assert frame.loc["ME-ERM", "f1"] == pytest.approx(
        np.mean(values["ME-ERM"]) - np.mean(values["ERM"])
    )
    assert np.isnan(frame.loc["ERM", "f1"])


@pytest.mark.parametrize(("select", "epoch"), [("f1", 2), ("eodd", 3), ("accuracy", None)])
def test_the_epoch_whose_weights_were_kept(pooled, select, epoch):
    run = pooled("ERM", 0, train={"select": select}).runs[0]
    assert kept_row(run).get("epoch") == epoch
