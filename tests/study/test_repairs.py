"""The word on whether a method repairs a planted cause, and the tables that say it."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from fake_runs import write_run

import fairexit
from conftest import settings
from fairexit.config_files import build_config
from fairexit.evaluation.policy import Policy
from fairexit.predictions.files import Predictions
from fairexit.runs import Run
from fairexit.study.cifar10s import Order, agreement, orders, ranking_table
from fairexit.study.collect import Pooled
from fairexit.study.drawn import draw_study
from fairexit.study.repair_rule import PRIMARY, Baseline, Change, Repair, repair_word, with_words
from fairexit.study.repair_tables import heading, write_repairs
from fairexit.study.repairs import (
    baselines,
    further_draws,
    planted_cause,
    readable_from_class,
    repairs,
)

PLANTED = {
    "cause": "prevalence",
    "strength": 0.9,
    "attribute": "camera",
    "affected": "second",
}
ERM = Baseline("ERM", 3, 0.4, 0.3, 0.5)


def made(low, high, *, f1=(0.0, -0.01, 0.01), p_value=0.001, baseline=ERM, seeds=3, decides=True):
    """A row whose gap changes by an interval, and F1 by (change, low, high)."""
    changes = {PRIMARY: Change(0.2, (low + high) / 2, low, high), "f1": Change(0.5, *f1)}
    return Repair(
        row="X",
        exit="policy",
        baseline=baseline,
        seeds=seeds,
        mark="",
        changes=changes,
        p_value=p_value,
        probes=(0.5, 0.5),
        decides=decides,
    )


@pytest.mark.parametrize(
    ("repair", "word"),
    [
        (made(-0.3, -0.1), "repairs"),
        (made(0.1, 0.3), "harms"),
        (made(-0.05, 0.05, p_value=1.0), "does not"),
        (made(-0.3, 0.05, p_value=0.2), "not decided"),
        # A quarter of the gap, 0.1, must be left out.
        (made(-0.0999, 0.3, p_value=0.2), "does not"),
        (made(-0.1, 0.3, p_value=0.2), "not decided"),
        # An interval that ends at 0 does not lie wholly on one side.
        (made(-0.3, 0.0), "not decided"),
        (made(0.0, 0.3), "does not"),
        # Holm's correction takes the word back.
        (made(-0.3, -0.1, p_value=0.051), "not decided"),
        (made(-0.05, -0.01, p_value=0.051), "does not"),
        (made(0.1, 0.3, p_value=0.051), "does not"),
        # F1: the measured loss is within the margin, beyond it, shown to be beyond it.
        (made(-0.3, -0.1, f1=(-0.02, -0.05, 0.01)), "repairs"),
        (made(-0.3, -0.1, f1=(-0.021, -0.05, 0.01)), "not decided"),
        (made(-0.3, -0.1, f1=(-0.04, -0.06, -0.02)), "not decided"),
        (made(-0.3, -0.1, f1=(-0.04, -0.06, -0.021)), "does not"),
        (made(0.1, 0.3, f1=(-0.04, -0.06, -0.021)), "harms"),
        # Nothing can be decided.
        (made(-0.3, -0.1, seeds=1, p_value=math.nan), "not decided"),
        (made(-0.3, -0.1, decides=False), "not decided"),
        (made(-0.05, 0.05, decides=False), "not decided"),
        (made(math.nan, math.nan, p_value=math.nan), "not decided"),
        (made(-0.3, -0.1, baseline=Baseline("ERM", 3, 0.4, 0.26, 0.5)), "not decided"),
        (made(-0.3, -0.1, baseline=Baseline("ERM", 1, 0.4, 0.39, 0.5)), "not decided"),
    ],
)
def test_each_word(repair, word):
    assert repair_word(repair) == word


def test_a_gap_is_decided_if_it_is_three_times_the_way_to_its_lower_end():
    assert Baseline("ERM", 2, 0.3, 0.2001, 0.4).decided
    assert not Baseline("ERM", 2, 0.3, 0.1999, 0.4).decided
    assert not Baseline("ERM", 2, 0.0, 0.0, 0.1).decided


def test_p_values_are_corrected_over_the_family():
    parts = [made(-0.3, -0.1, p_value=p) for p in (0.04, 0.01, 0.03)]
    assert [r.p_value for r in with_words(parts)] == pytest.approx([0.06, 0.03, 0.06])
    assert [r.word for r in with_words(parts)] == ["not decided", "repairs", "not decided"]
    assert [r.word for r in with_words(parts[:1])] == ["repairs"]
    assert with_words([]) == []


def test_the_share_of_the_gap_that_is_closed():
    assert made(-0.3, -0.1).closed == pytest.approx(0.5)
    assert made(0.1, 0.3).closed == pytest.approx(-0.5)
    assert math.isnan(made(0, 0, baseline=replace(ERM, gap=0.0)).closed)


@pytest.fixture
def cell(tmp_path):
    """A function that makes one row and seed with a given accuracy of each group."""
    data = tmp_path / "data"
    data.mkdir()
    cells = {"first": {"a": 90, "b": 5}, "second": {"a": 10, "b": 95}}
    (data / "dataset.json").write_text(
        json.dumps({"planted": PLANTED, "cells": {"val": cells}, "images": 3000})
    )

    def make(row, seed, accuracy, exits="none", ratio=None, images=3000, **config):
        tree = {"data": {"path": str(data), "group": "camera"}, "model": {"exits": exits}}
        path = tmp_path / f"{row}-{seed}"
        write_run(path, build_config(tree | config).to_dict(), ratio, images=10)
        (path / "log.csv").write_text("epoch,val_f1,val_probef,val_probe1,seconds\n1,.5,.9,.8,2\n")
        names = ("f",) if exits == "none" else ("1", "f")
        fixed = np.random.default_rng(0)
        labels, groups = fixed.integers(0, 3, images), fixed.integers(0, 2, images)
        rng = np.random.default_rng([seed, len(row), ord(row[-1])])
        right = rng.random((images, len(names))) < np.array(accuracy)[groups][:, None]
        answers = np.where(right, labels[:, None], (labels[:, None] + 1) % 3)
        predictions = Predictions(
            ids=np.array([f"i{k:05d}" for k in range(images)]),
            clusters=np.array([f"c{k // 2}" for k in range(images)]),
            split=np.full(images, "test"),
            labels=labels,
            attributes={"camera": groups},
            group_names={"camera": ("first", "second")},
            classes=("a", "b", "c"),
            probabilities=np.eye(3, dtype=np.float32)[answers],
            exit_names=names,
        )
        theta = None if exits == "none" else 0.5
        order = np.arange(images)
        return Pooled(row, seed, (Run(path),), (predictions,), (Policy(theta),), order, "camera")

    return make


def judged(study):
    sides, measures = further_draws(study)
    drawn = draw_study(study, [], None, further_sides=sides, further_measures=measures)
    return drawn, {(r.row, r.exit): r for r in repairs(study, drawn)}


def hsic(weight=1.0):
    return {"method": {"name": "hsic", "weight": weight}}


def test_rows_are_judged_against_plain_training_with_their_exits(cell, tmp_path):
    study = []
    for seed in (0, 1, 2):
        study += [
            cell("ERM", seed, (0.9, 0.6)),
            cell("Mended", seed, (0.85, 0.8), ratio=0.5, **hsic()),
            cell("Worse", seed, (0.95, 0.55), **hsic(2.0)),
            cell("Same", seed, (0.9, 0.6), **hsic(3.0)),
            cell("Levelled", seed, (0.6, 0.55), **hsic(4.0)),
            cell("Idle", seed, (0.85, 0.8), ratio=0.001, **hsic(5.0)),
            cell("ME-ERM", seed, (0.9, 0.61), exits="all"),
            cell("ME-Mended", seed, (0.86, 0.81), exits="all", **hsic()),
            cell("Odd", seed, (0.9, 0.6), exits=[2], **hsic()),
        ]
    drawn, results = judged(study)
    assert {key: r.word for key, r in results.items()} == {
        ("Mended", "policy"): "repairs",
        ("Worse", "policy"): "harms",
        ("Same", "policy"): "does not",
        ("Levelled", "policy"): "does not",
        ("Idle", "policy"): "not decided",
        ("ME-ERM", "policy"): "does not",
        ("ME-Mended", "policy"): "repairs",
        ("ME-ERM", "1"): "does not",
        ("ME-ERM", "f"): "does not",
    }
    mended = results["Mended", "policy"]
    assert results["ME-Mended", "policy"].baseline.row == "ME-ERM"
    assert results["ME-ERM", "1"].baseline.row == "ERM"
    assert mended.baseline.decided
    assert mended.baseline.gap == pytest.approx(0.3, abs=0.05)
    assert mended.changes["accuracy/first"].change == pytest.approx(-0.05, abs=0.03)
    assert mended.changes["accuracy/second"].low > 0.1
    assert results["ME-ERM", "policy"].probes == pytest.approx((0.8, 0.9))
    assert results["ME-ERM", "1"].probes == pytest.approx((0.8, 0.8))
    assert results["Idle", "policy"].mark == "penalty inactive"

    [(table, head)] = write_repairs(study, drawn, PLANTED, folder=tmp_path, note="Three seeds.")
    assert "Eopp1 by images of ERM is 0.297 (" in head
    assert head.endswith("with the same exits was not run: Odd.")
    assert "guessing has 0.500, and whoever knows the class alone 0.926" in head
    page = (tmp_path / "repairs.md").read_text()
    assert "| Mended | repairs | ERM | 3 | 0.8" in page
    assert "| ME-ERM at exit 1 | does not | ERM | 3 |" in page
    assert "Idle (penalty inactive)" in page
    for text in ("at most 0.02 lower", "25 % of the gap", "Three seeds.", "Accuracy, second"):
        assert text in page
    frame = pd.read_csv(tmp_path / "repairs.csv")
    row = frame.set_index(["row", "exit"]).loc["Mended", "policy"]
    assert row["eopp1_weighted_high"] < 0
    assert row["closed"] == pytest.approx(mended.closed, abs=1e-4)
    assert list(row[["word", "against", "probe_last", "probe_guess"]]) == [
        "repairs",
        "ERM",
        0.9,
        0.5,
    ]
    assert row["against_gap_decided"]
    tex = (tmp_path / "repairs.tex").read_text()
    assert tex.count(r"\begin{ThreePartTable}") == page.count("\n## ") == 4
    assert len(table.rows) == 7


def test_without_a_decided_gap_nothing_repairs(cell):
    study = [cell("ERM", s, (0.8, 0.77), images=400) for s in (0, 1)]
    study += [cell("Mended", s, (0.8, 0.8), images=400, **hsic()) for s in (0, 1)]
    drawn, results = judged(study)
    assert results["Mended", "policy"].word == "not decided"
    text = heading(PLANTED, baselines(study, drawn), 0.5, math.nan)
    assert "not decided, so that nothing can be shown to repair it here.**" in text
    assert "the class alone" not in text


def test_plain_training_alone_says_whether_there_is_a_gap(cell, tmp_path):
    study = [cell("ERM", 0, (0.9, 0.6), images=400)]
    drawn, results = judged(study)
    assert results == {}
    [(table, head)] = write_repairs(study, drawn, PLANTED, folder=tmp_path, note="")
    assert not table.rows
    assert "not decided with one seed" in head
    assert not (tmp_path / "repairs.csv").exists()


@pytest.mark.parametrize(
    ("cause", "text"), [("annotation", "doubt one"), ("presentation", "other")]
)
def test_what_a_reader_must_know_of_a_cause(cause, text):
    planted = PLANTED | {"cause": cause}
    assert text in heading(planted, [], 0.5, 0.6)
    assert heading(PLANTED | {"cause": "representation"}, [], 0.5, 0.6).endswith("alone 0.600.")


def test_the_planted_attribute_must_be_the_one_that_was_studied(cell):
    study = [cell("ERM", 0, (0.9, 0.6), images=20)]
    assert planted_cause(study) == PLANTED
    assert planted_cause([replace(study[0], group="sex")]) is None
    assert readable_from_class(study) == pytest.approx((90 / 95 + 95 / 105) / 2)
    data = study[0].runs[0].config.data.path / "dataset.json"
    data.write_text(json.dumps({"cells": {"fold0": {}}}))
    assert planted_cause(study) is None
    assert math.isnan(readable_from_class(study))
    data.unlink()
    assert planted_cause(study) is None


def test_the_ranking_beside_the_printed_one(cell):
    study = []
    for seed in (0, 1, 2):
        study += [
            cell("ResNet18", seed, (0.7, 0.7)),
            cell("DomainIndep", seed, (0.9, 0.9), method={"name": "domainindep"}),
            cell("AdvRev", seed, (0.8, 0.8), method={"name": "advrev"}),
            cell("ME-AdvConf", seed, (0.8, 0.8), exits="all", method={"name": "advconf"}),
        ]
    drawn, _ = judged(study)
    pairs = orders(study, drawn)
    assert {(p.better, p.worse): p.direction for p in pairs} == {
        ("DomainIndep", "ResNet18"): "for",
        ("DomainIndep", "AdvRev"): "for",
        ("ResNet18", "AdvRev"): "against",
    }
    assert pairs[2].difference == pytest.approx(-0.1, abs=0.03)
    text = agreement(pairs)
    assert "Of 3 printed orders of two methods, accuracy here has 2 as printed (Domain" in text
    assert "; 1 the other way round (ResNet18 above AdvRev). An order" in text
    rows = ranking_table(study, drawn).rows
    assert [row[0] for row in rows] == ["DomainIndep", "ResNet18", "AdvRev"]
    assert [(row[2], row[3], row[5]) for row in rows] == [
        ("0.924", "1", "1"),
        ("0.885", "2", "3"),
        ("0.841", "3", "2"),
    ]


def test_one_seed_decides_no_order(cell):
    study = [cell("ERM", 0, (0.7, 0.7)), cell("AdvRev", 0, (0.9, 0.9))]
    drawn, _ = judged(study)
    assert [p.direction for p in orders(study, drawn)] == ["open"]
    assert "1 not decided (a above b)" in agreement([Order("a", "b", 0.1, "open")])


def test_a_study_of_planted_images_from_yaml_to_words(command, tiny, tmp_path):
    data = tmp_path / "planted"
    fairexit.plant(tiny.path, data, cause="representation", strength=0.5)
    tree = settings(data, train__epochs=1, model__exits="none").to_dict()
    tree["data"]["group"] = "camera"
    del tree["prune"]
    study = {
        "base": tree,
        "datasets": {"representation": {}},
        "rows": {"ERM": {}, "ME-ERM": {"model.exits": [1]}},
        "policy": {"grid": [0.5]},
        "against": {"ME-ERM": "ERM"},
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
    status, printed, err = command("study", tmp_path / "s.yaml", "--out", tmp_path / "s")
    assert status == 0, err
    assert "Does it repair representation?" in printed
    out = tmp_path / "s" / "tables" / "representation"
    frame = pd.read_csv(out / "repairs.csv")
    assert list(frame["exit"]) == ["policy", "1", "f"]
    assert set(frame["row"]) == {"ME-ERM"}
    assert set(frame["word"]) == {"not decided"}, "there is one seed"
    assert frame["p_value"].isna().all()
    against = pd.read_csv(out / "against.csv").set_index("row").loc["ME-ERM"]
    policy = frame.iloc[0]
    for metric in ("f1", "eopp1", "eopp1_weighted", "eodd"):
        assert policy[f"{metric}_change"] == pytest.approx(against[metric], abs=1e-5)
        assert policy[f"{metric}_low"] == pytest.approx(against[f"{metric}_low"], abs=1e-5)
    assert policy["probe_first"] == pytest.approx(against["probe_first"], abs=1e-5)
    assert policy["probe_last"] == pytest.approx(against["probe_final"], abs=1e-5)
    assert list(frame["probe_first"]) == pytest.approx(
        [*policy[["probe_first"] * 2], *policy[["probe_last"]]]
    )
    assert "Planted cause: representation of strength 0.5" in (out / "repairs.md").read_text()
    assert r"\begin{ThreePartTable}" in (out / "repairs.tex").read_text()
