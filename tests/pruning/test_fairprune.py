"""Pruning of runs, as a library and as a command."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from fairexit import cli
from fairexit.config_files import build_config
from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.evaluation.assess import assess
from fairexit.evaluation.evaluate import evaluate
from fairexit.inference.predict import predict
from fairexit.predictions.files import read_predictions
from fairexit.pruning.criteria import Subject, criteria
from fairexit.pruning.edits import to_power_of_two
from fairexit.pruning.groups import draw_rows, split_groups
from fairexit.pruning.layers import prunable_layers
from fairexit.pruning.masks import load_masks
from fairexit.pruning.prune import prune
from fairexit.pruning.record import blocks_table, notes, path_table
from fairexit.pruning.trace import Trace
from fairexit.pruning.units import parameters_of
from fairexit.runs import Run, open_run, read_record
from fairexit.training.checkpoint import load_net
from trained import KilledError

PARTS = ["backbone.stages.0", "heads"]
QUICK = {"images": 12, "chunk": 6, "steps": 2, "device": "cpu", "layers": PARTS}
WHOLE = {**QUICK, "stop": False}


def same(one, two):
    a, b = load_file(one), load_file(two)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def pruned(tiny_run, tmp_path_factory):
    """The tiny run, pruned to 35 %."""
    return prune(tiny_run, tmp_path_factory.mktemp("pruned") / "p", PruneConfig(**WHOLE))


def test_a_pruned_run_is_a_run(tiny_run, pruned):
    again = open_run(pruned.path)
    assert again.config == replace(tiny_run.config, prune=PruneConfig(**WHOLE))
    weights = load_file(pruned.weights)
    masks = load_masks(pruned, load_net(pruned))
    zeros = sum(int((~m).sum()) for m in masks.values())
    total = sum(m.numel() for m in masks.values())
    assert zeros == round(0.35 * total)
    before = load_file(tiny_run.weights)
    for name, value in before.items():
        kept = masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(weights[name], torch.where(kept, value, torch.zeros_like(value)))
    assert pruned.masks.stat().st_size < total / 8 + 10_000
    assert same(pruned.weights, pruned.last_weights)
    predict(pruned, ["val", "test"])
    found = assess(pruned.path).evaluation
    assert found.n > 0


def test_the_record_says_what_was_done(pruned):
    record = read_record(pruned)
    assert [row["fraction"] for row in record["path"]] == pytest.approx([0, 0.175, 0.35], abs=1e-5)
    assert record["chosen"] == 2
    assert record["reason"] == "the last step, as prune.stop is false"
    assert record["exact_hessian"] is True
    assert sorted(record["privileged"] + record["unprivileged"]) == ["dark", "light"]
    table = pd.read_csv(pruned.path / "pruning.csv")
    assert table["number"].tolist() == [0, 1, 2]
    assert table["eodd"].notna().all()
    assert "Eodd on validation" in (pruned.path / "pruning.svg").read_text()
    last = blocks_table(record).rows[-1]
    assert last[0] == "all"
    assert last[-1] == "35.0%"
    shown = path_table(record)
    assert [row[0] for row in shown.rows] == ["0", "1", "2*"]


def test_validation_is_measured_as_the_run_will_be(tiny_run, pruned):
    """The path's first step is what evaluate says of the unpruned run on validation."""
    first = read_record(pruned)["path"][0]
    found = assess(tiny_run.path, split="val", store=False).evaluation
    assert first["f1"] == found.metrics["f1"]
    assert first["eodd"] == found.metrics["eodd"]
    assert first["theta"] == found.policy.theta
    assert first["final_f1"] == pytest.approx(found.exits[-1]["f1"])


def test_magnitude_and_random(tiny_run, tmp_path):
    masks = {}
    for method in ("magnitude", "random"):
        run = prune(tiny_run, tmp_path / method, PruneConfig(**WHOLE, method=method))
        masks[method] = load_masks(run, load_net(run))
    before = load_file(tiny_run.weights)
    kept = torch.cat([before[k][m] for k, m in masks["magnitude"].items()]).abs()
    cut = torch.cat([before[k][~m] for k, m in masks["magnitude"].items()]).abs()
    assert cut.max() <= kept.min()
    shares = [float((~m).float().mean()) for m in masks["random"].values() if m.numel() > 1e4]
    assert np.std(shares) < 0.01


def test_layers_and_parameters(tiny_run, tmp_path):
    config = PruneConfig(**WHOLE | {"layers": ["heads.1"]}, parameters="all", one_shot=True)
    run = prune(tiny_run, tmp_path / "p", config)
    names = set(load_masks(run, load_net(run)))
    assert "heads.1.reduce.1.bias" in names
    assert all(name.startswith("heads.1.") for name in names)


def saliency(tiny, tiny_run, config, rows):
    """The score of the weights of the last two layers."""
    net = load_net(tiny_run)
    config = replace(config, layers=list(prunable_layers(net))[-2:])
    subject = Subject(
        net=net,
        data=tiny,
        task=tiny.task(),
        rows=rows,
        exit_weights=[0.3, 0.6, 0.9],
        run=replace(tiny_run.config, prune=config),
    )
    return criteria.create(config.method, subject)


@pytest.mark.parametrize("method", ["fairprune", "fairquantize"])
def test_saliency_is_the_formula_whatever_chunk_or_process(tiny, tiny_run, method):
    rows = (tiny.rows("train")[:9], tiny.rows("train")[9:16])
    config = PruneConfig(method=method, curvature="exact", chunk=4, device="cpu")
    score = saliency(tiny, tiny_run, config, rows)
    other = saliency(tiny, tiny_run, replace(config, chunk=9, devices=2), rows)
    h_u, h_p = score.measure(1)
    values, again = score(1, 0.4), other(1, 0.4)
    for name, w in parameters_of(score.units).items():
        w = w.detach()
        change = -w if method == "fairprune" else to_power_of_two(w) - w
        wanted = 0.5 * change**2 * (h_u[name] - 0.4 * h_p[name])
        torch.testing.assert_close(values[name], wanted)
        torch.testing.assert_close(again[name], wanted, rtol=1e-3, atol=1e-9)


def test_a_sweep_is_chosen_on_validation(tiny_run, tmp_path):
    config = PruneConfig(**QUICK, ratio=[0.2, 0.4], beta=[0.0, 0.5], tolerance=1)
    run = prune(tiny_run, tmp_path / "p", config)
    record = read_record(run)
    assert len(record["path"]) == 5
    best = int(np.argmin([row["eodd"] for row in record["path"]]))
    assert record["chosen"] == best
    zeros = sum(block["edited"] for block in record["blocks"])
    total = sum(block["units"] for block in record["blocks"])
    assert zeros / total == pytest.approx(record["path"][best]["fraction"])


def killed_after(original):
    def call(*args):
        original(*args)
        raise KilledError

    return call


def test_a_killed_pruning_goes_on(tiny_run, pruned, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Trace, "save", killed_after(Trace.save))
        with pytest.raises(KilledError):
            prune(tiny_run, tmp_path / "p", PruneConfig(**WHOLE))
    with pytest.raises(UserError, match="has not finished"):
        open_run(tmp_path / "p")
    run = prune(tiny_run, tmp_path / "p", PruneConfig(**WHOLE))
    assert same(run.weights, pruned.weights)
    assert read_record(run) == read_record(pruned)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": "sex"}, "has no attribute 'sex'"),
        ({"privileged": "drak"}, "skin_tone has no group 'drak'; did you mean 'dark'"),
        (
            {"privileged": "dark", "unprivileged": "dark"},
            "'dark' cannot be both the privileged and",
        ),
        ({"layers": ["stages.9"]}, r"prune\.layers: there is no layer 'stages\.9'"),
        ({"device": "abacus"}, "'device' is 'abacus'"),
    ],
)
def test_settings_that_do_not_fit(tiny_run, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        prune(tiny_run, tmp_path / "p", PruneConfig(**{**QUICK, **change}))
    assert not (tmp_path / "p").exists()


def test_other_settings_or_networks_in_the_same_folder(tiny, tiny_run, pruned, tmp_path):
    with pytest.raises(UserError, match=r"with prune\.ratio = 0\.35, but this one has 0\.2"):
        prune(tiny_run, pruned.path, PruneConfig(**WHOLE, ratio=0.2))
    with pytest.raises(UserError, match=r"holds a run with prune"):
        prune(tiny_run, tiny_run.path, PruneConfig(**WHOLE))
    twin = tmp_path / "twin"  # the same settings, other weights
    twin.mkdir()
    for name in ("config.json", "started.json", "config.yaml"):
        (twin / name).write_bytes((tiny_run.path / name).read_bytes())
    other = load_file(tiny_run.weights)
    save_file(
        {k: v + 1 if v.is_floating_point() else v for k, v in other.items()},
        twin / "model.safetensors",
    )
    with pytest.raises(UserError, match="holds a pruning of another network"):
        prune(open_run(twin), pruned.path, PruneConfig(**WHOLE))


def test_notes(pruned):
    record = read_record(pruned)
    (u,), (p,) = record["unprivileged"], record["privileged"]
    wanted = [f"skin_tone: {p} privileged, {u} not", "the path ended: the ratio is reached"]
    assert notes(record) == wanted
    smooth = record | {"exact_hessian": False, "left_out": ["a.weight"], "ended": ""}
    assert "only approximates" in notes(smooth)[1]
    assert "other kinds: ['a.weight']" in notes(smooth)[2]
    smooth["settings"] = record["settings"] | {"method": "random", "beta": None}
    assert len(notes(smooth)) == 2


def test_a_record_that_is_absent_or_damaged(tmp_path):
    with pytest.raises(UserError, match="has not been pruned"):
        read_record(Run(tmp_path))
    for damage in ("[", "{}", '{"path": [], "chosen": 1}'):
        (tmp_path / "pruning.json").write_text(damage)
        with pytest.raises(UserError, match=r"pruning\.json is damaged"):
            read_record(Run(tmp_path))


def test_groups_by_f1_or_by_name(tiny, tiny_run):
    predictions = read_predictions(tiny_run.predictions("val"))
    task = tiny.task()
    f1 = {k: v["f1"] for k, v in evaluate(predictions, task.group, None).groups.items()}
    low, high = sorted(f1, key=f1.get)
    assert split_groups(predictions, task, PruneConfig()) == ([low], [high])
    assert split_groups(predictions, task, PruneConfig(privileged=low)) == ([high], [low])
    assert split_groups(predictions, task, PruneConfig(unprivileged=high)) == ([high], [low])
    three = replace(task, groups=(*task.groups, "third"))
    found = split_groups(predictions, three, PruneConfig(unprivileged=high))
    assert found == ([high], [g for g in three.groups if g != high])
    found = split_groups(predictions, three, PruneConfig(unprivileged="third", privileged=low))
    assert found == (["third"], [low])


def test_the_sample_is_bounded_seeded_and_of_its_group(tiny):
    task, train_rows = tiny.task(), tiny.rows("train")
    groups, labels = tiny.groups(task.group), tiny.labels
    rows = draw_rows(tiny, task, ["dark"], fold=None, config=PruneConfig(images=10), seed=0)
    assert len(set(rows)) == 10
    assert set(rows) <= set(train_rows)
    assert (groups[rows] == task.groups.index("dark")).all()
    assert np.array_equal(
        rows, draw_rows(tiny, task, ["dark"], fold=None, config=PruneConfig(images=10), seed=0)
    )
    other = draw_rows(tiny, task, ["dark"], fold=None, config=PruneConfig(images=10), seed=1)
    assert not np.array_equal(rows, other)
    everything = draw_rows(
        tiny, task, list(task.groups), fold=None, config=PruneConfig(images=9999), seed=0
    )
    assert sorted(everything) == sorted(train_rows)
    balanced = PruneConfig(images=4000, sampling="balanced")
    rows = draw_rows(tiny, task, ["dark"], fold=None, config=balanced, seed=0)
    present = np.bincount(labels[rows])
    present = present[present > 0]
    assert present.max() / present.min() < 1.3
    with pytest.raises(UserError, match="no training image of skin_tone blue"):
        draw_rows(
            tiny,
            replace(task, groups=("dark", "light", "blue")),
            ["blue"],
            fold=None,
            config=balanced,
            seed=0,
        )


def call(monkeypatch, *arguments):
    """The exit status of a command."""
    monkeypatch.setattr("sys.argv", ["fairexit", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code or 0


def test_the_command(tiny_run, tmp_path, monkeypatch, capsys):
    start = ["prune", tiny_run.path, "--device", "cpu", "--out"]
    options = ["--images", 8, "--steps", 2, "--beta", 0.1, "--curvature", "exact", "--no-stop"]
    options += ["--layer", "heads", "--layer", "backbone.head"]
    assert call(monkeypatch, *start, tmp_path / "p", *options) == 0
    said = capsys.readouterr()
    assert "step 1 beta 0.1 edited 17.5%" in said.err
    assert "all" in said.out
    assert "2*" in said.out
    assert "the path ended: the ratio is reached" in said.out
    assert "pruned:" in said.out
    found = json.loads((tmp_path / "p" / "pruning.json").read_text())["settings"]
    assert (found["beta"], found["layers"]) == (0.1, ["heads", "backbone.head"])
    for options, message in [
        (["--ratio", 1.2], "prune.ratio is 1.2; it must be from 0 to below 1"),
        (["--beta", -1], "prune.beta is -1.0; it must be 0 or more"),
        (["--ratio", "much"], "--ratio is 'much'; give a number"),
        (["--ratio", "0.1,0.2", "--no-stop"], "validation must choose among several ratios"),
    ]:
        assert call(monkeypatch, *start, tmp_path / "q", *options) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert message in lines[0]
    assert not (tmp_path / "q").exists()


def test_build_config_reads_prune():
    tree = {"data": {"path": "x"}, "prune": {"ratio": 0.2}}
    assert build_config(tree).prune == PruneConfig(ratio=0.2)
    assert build_config({"data": {"path": "x"}, "prune": None}).prune is None
