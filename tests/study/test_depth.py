"""The sixth claim: entanglement falls with depth."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from networks import names_in, pooled

from fairexit.runs import Run
from fairexit.stats.seeds import half_width
from fairexit.study.collect import Pooled
from fairexit.study.deciding import Design
from fairexit.study.depth import entanglement_verdict, mean_change
from fairexit.study.paper import printed


def entangled(folder, row, changes, error):
    """Runs of one row in which the entanglement of two labels was measured."""
    cells = []
    for seed, change in enumerate(changes):
        run = Run(folder / f"{row}-{seed}")
        run.path.mkdir()
        place = {"temperature": 0.3, "change": change, "change_se": error}
        columns = ("snnl_se", "entropy", "raw_temperature", "independent")
        ends = [f"{name}_{end}" for name in ("snnl", "change") for end in ("low", "high")]
        values = dict.fromkeys([*columns, *ends], 0.5) | {"independent_change": 0.02 * seed}
        rows = [
            {"of": of, "position": position, "snnl": snnl, **place, **values, "images": 9}
            | {"without_partner": 0}
            for of in ("sex", "target")
            for position, snnl in (("1", 0.7), ("2", 0.5), ("3", 0.1), ("mean", 0.5))
        ]
        tree = {
            "name": row,
            "settings": {"split": "test", "group": "sex"},
            "interval": "9 clusters",
            "rows": rows,
        }
        (run.path / "entanglement.json").write_text(json.dumps(tree))
        cell = pooled(row, seed, 2.0)
        cells.append(Pooled(row, seed, (run,), cell.predictions, cell.policies, cell.order, "sex"))
    return cells


def as_folds(seeds):
    """The runs of several seeds as the folds of one."""
    first = seeds[0]
    runs = tuple(run for cell in seeds for run in cell.runs)
    return Pooled(
        first.row, first.seed, runs, first.predictions, first.policies, first.order, "sex"
    )


def sixth(study, paper=None):
    return entanglement_verdict(study, paper, Design(900, None, 1), names_in(study))


def test_entanglement_holds_only_where_both_networks_were_measured(tmp_path):
    plain = entangled(tmp_path, "ResNet18", [-0.10, -0.11, -0.12], 0.001)
    verdict = sixth(plain)
    assert verdict.verdict == "not decided"
    assert [o and o.direction for o in verdict.outcomes] == ["for", "for", None, None]
    both = plain + entangled(tmp_path, "ME-ResNet18", [-0.10, -0.11, -0.12], 0.001)
    assert sixth(both).verdict == "holds"
    assert sixth([pooled("ResNet18", 0, 2.0)]).verdict == "not run"


def test_the_change_stands_in_nats_beside_independence_and_the_papers(tmp_path, monkeypatch):
    config = SimpleNamespace(model=SimpleNamespace(backbone="resnet18"))
    monkeypatch.setattr(Run, "config", config)
    study = entangled(tmp_path, "ME-ResNet18", [-1.5, -1.6, -1.7], 0.001)
    sex, target = sixth(study, printed("isic2019", "sex")).outcomes[2:]
    assert str(sex.comparison) == "SNNL of sex, change per position in nats, T 0.3: ME-ResNet18 < 0"
    assert sex.independent == pytest.approx(0.02)
    # The paper prints -1.1 % of the position before; SNNL is 0.6 before, on average.
    assert sex.paper == pytest.approx(-0.011 * 0.6)
    assert target.paper is None
    assert sex.difference == pytest.approx(-1.6)
    assert sex.low < -1.6, "a change in nats can exceed 1"


def test_entanglement_of_another_split_or_attribute_does_not_count(tmp_path):
    plain = entangled(tmp_path, "ResNet18", [-0.10, -0.11, -0.12], 0.001)
    for cell, changed in zip(plain, ({"split": "val"}, {"group": "age"}), strict=False):
        file = cell.runs[0].path / "entanglement.json"
        tree = json.loads(file.read_text())
        file.write_text(json.dumps(tree | {"settings": tree["settings"] | changed}))
    assert sixth(plain).outcomes[0].seeds == 1


def test_entanglement_is_judged_by_students_t_over_seeds(tmp_path):
    # 4.30 standard errors of three seeds reach across zero, 1.96 do not.
    study = entangled(tmp_path, "ResNet18", [-0.02, -0.05, -0.08], 0.0001)
    outcome = sixth(study).outcomes[0]
    assert outcome.difference == pytest.approx(-0.05)
    half = 4.303 * 0.03 / math.sqrt(3)
    assert (outcome.low, outcome.high) == pytest.approx((-0.05 - half, -0.05 + half), abs=0.004)
    assert outcome.direction == "open"
    # With one seed the interval covers the images alone, and decides nothing of the method.
    one_seed = sixth(entangled(tmp_path, "ME-ResNet18", [0.06], 0.01)).outcomes[-1]
    assert (one_seed.low, one_seed.high) == pytest.approx((0.06 - 0.0196, 0.06 + 0.0196), abs=1e-3)
    assert one_seed.direction == "open"
    assert math.isnan(one_seed.p_value)
    assert one_seed.smallest == pytest.approx(2.8016 * 0.01, abs=2e-4)


def test_folds_of_one_seed_are_one_measurement_of_entanglement(tmp_path):
    folds = as_folds(entangled(tmp_path, "ResNet18", [-0.02, -0.05, -0.08], 0.003))
    outcome = sixth([folds]).outcomes[0]
    assert (outcome.seeds, outcome.difference) == (1, pytest.approx(-0.05))
    half = 1.96 * 0.003 / math.sqrt(3)
    assert (outcome.low, outcome.high) == pytest.approx((-0.05 - half, -0.05 + half), abs=1e-5)


def test_a_single_comparison_contradicts_at_a_stricter_level(tmp_path):
    # Of n = 4 comparisons one contradicts if its interval at 1 - 0.05 / 4 lies above 0.
    falling = entangled(tmp_path, "ResNet18", [-0.10, -0.11, -0.12], 0.001)
    for place, (step, word) in enumerate(((0.014, "not decided"), (0.008, "contradicted"))):
        (tmp_path / str(place)).mkdir()
        # t of two degrees of freedom: 4.3 standard errors at 95 %, 8.9 at 98.75 %.
        values = [0.05 - step, 0.05, 0.05 + step]
        rising = entangled(tmp_path / str(place), "ME-ResNet18", values, 0.0001)
        verdict = sixth(falling + rising)
        assert [o.direction for o in verdict.outcomes] == ["for", "for", "against", "against"]
        assert verdict.verdict == word


@pytest.mark.parametrize("seeds", [1, 3, 10])
def test_the_interval_of_a_mean_change_is_that_of_standard_errors(seeds):
    changes = np.random.default_rng(seeds).normal(-0.02, 0.01, seeds)
    contrast = mean_change(changes, np.full(seeds, 0.004))
    spread = changes.std(ddof=1) if seeds > 1 else 0.0
    for level in (0.95, 0.99):
        low, high = contrast.interval(level)[1:3]
        half = float(half_width(0.004, spread, seeds, level))
        assert (low, high) == pytest.approx((changes.mean() - half, changes.mean() + half))


def test_the_smallest_change_is_shown_in_80_of_100_studies():
    rng, seeds, spread, error = np.random.default_rng(0), 5, 0.01, 0.004
    changes = np.array([-0.02, -0.01, -0.03, -0.015, -0.025])
    changes = (changes - changes.mean()) * spread / changes.std(ddof=1)
    contrast = mean_change(changes, np.full(seeds, error))
    smallest, half = contrast.smallest(-1), -float(contrast.interval().low)
    # Studies with this true change, and intervals of this width.
    means = -smallest + rng.normal(0, error, 20000)
    means += spread / math.sqrt(seeds) * rng.standard_t(seeds - 1, 20000)
    assert (means + half < 0).mean() == pytest.approx(0.8, abs=0.01)
