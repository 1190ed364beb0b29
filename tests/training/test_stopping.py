"""Early stopping, more epochs of a run, and which epoch is kept by every criterion."""

import json

import pandas as pd
import pytest

from fairexit.config_train import TrainConfig
from fairexit.errors import UserError
from fairexit.inference.predict import predict
from fairexit.metrics.record import METRICS
from fairexit.plugins import load_plugins
from fairexit.runs import Run
from fairexit.training.fit import train
from fairexit.training.log import kept_epoch
from fairexit.training.optim import learning_rate
from fairexit.training.stopping import stop_reason
from trained import KilledError, kill_after, quick, same_runs

# Nothing is learnt, so the first epoch stays the best by loss or ties with the others.
STILL = {"optimizer": "sgd", "lr": 1e-30, "weight_decay": 0.0}


def row(f1, loss=1.0):
    return {"val_f1": f1, "val_loss": loss, "val_raw_loss": loss}


def settings(**values):
    return TrainConfig(early_stopping=values)


@pytest.mark.parametrize(
    ("scores", "patience", "epochs"),
    [([5, 4, 4, 4], 3, 4), ([5, 4, 6, 4, 4, 7], 3, 6), ([1, 2, 3, 4], 1, 4), ([5, 4], 1, 2)],
)
def test_training_ends_after_the_patience(scores, patience, epochs):
    rows = [row(score / 10) for score in scores]
    reasons = [stop_reason(rows[:n], settings(patience=patience)) for n in range(len(rows) + 1)]
    ended = [n for n, reason in enumerate(reasons) if reason]
    best = max(range(len(scores)), key=lambda k: scores[k]) + 1
    expected = epochs if len(scores) - best >= patience else None
    assert (ended[0] if ended else None) == expected
    assert stop_reason(rows, settings(patience=patience, min_epochs=len(rows) + 1)) is None


def test_the_reason_names_epoch_and_criterion():
    rows = [row(0.5), row(0.4), row(0.4)]
    assert stop_reason(rows, settings(patience=2)) == (
        "no epoch after epoch 1 was better by f1 on validation (train.early_stopping.patience is 2)"
    )


def test_swad_ends_the_training_with_its_window():
    rows = [row(0.5, loss) for loss in [1, 1, 1] + [2] * 6]
    train_settings = TrainConfig(average="swad")
    assert "SWAD averages the epochs 1 to 3" in stop_reason(rows, train_settings)
    assert stop_reason(rows[:-1], train_settings) is None
    assert stop_reason(rows, TrainConfig()) is None


def test_a_stopped_run_says_so_and_resumes_the_same(small, tmp_path, monkeypatch, capsys):
    config = quick(small, epochs=9, early_stopping={"patience": 2, "min_epochs": 3}, **STILL)
    whole = train(config, tmp_path / "whole")
    said = capsys.readouterr().err
    assert "training ended after epoch 3: no epoch after epoch 1 was better by f1" in said
    assert len(pd.read_csv(whole.path / "log.csv")) == 3
    assert "no epoch after epoch 1" in whole.description["stopped"]
    for calls in (1, 3):
        folder = tmp_path / f"killed{calls}"
        with monkeypatch.context() as patch:
            kill_after(patch, calls)
            with pytest.raises(KilledError):
                train(config, folder)
        assert same_runs(whole, train(config, folder))


@pytest.mark.parametrize("name", ["loss", *METRICS])
def test_every_metric_can_select(name):
    rows = [
        {f"val_{key}": 0.5 for key in ["loss", *METRICS]} | {"val_main_answer": 0.5}
        for _ in range(3)
    ]
    lower = name == "loss" or not METRICS[name].higher_is_better
    rows[1][f"val_{name}"] = 0.4 if lower else 0.6
    assert kept_epoch(rows, name) == 2
    rows[1][f"val_{name}"] = 0.6 if lower else 0.4
    assert kept_epoch(rows, name) == 1


def check_selection(data, folder, name):
    run = train(quick(data, select=name, early_stopping={"patience": 2}), folder)
    assert f"val_{name}" in pd.read_csv(run.path / "log.csv")
    assert run.config.train.select == name


@pytest.mark.parametrize("name", ["eodd_weighted", "worst_group_recall"])
def test_runs_select_by_weighted_and_by_further_metrics(small, tmp_path, name):
    check_selection(small, tmp_path / "r", name)


def test_runs_select_by_the_metric_of_a_plugin(small, tmp_path):
    plugin = tmp_path / "stopping_own_metric.py"
    plugin.write_text(
        "from fairexit.metrics.record import metric\n"
        '@metric("stopping_own_metric", label="own")\n'
        "def own(m):\n"
        '    """Share of hits, (...)."""\n'
        "    return m.hits.sum((-2, -1)) / m.actual.sum((-2, -1))\n"
    )
    try:
        load_plugins([plugin])
        check_selection(small, tmp_path / "r", "stopping_own_metric")
    finally:
        METRICS.registry._remove("stopping_own_metric")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"early_stopping": {"patience": 0}}, r"early_stopping\.patience is 0; it must be pos"),
        ({"early_stopping": {"patience": 2, "min_epochs": -1}}, "it cannot be negative"),
        (
            {"early_stopping": {"patient": 2}},
            r"unknown key 'train\.early_stopping\.patient'; did you mean 'patience'\?",
        ),
        ({"early_stopping": {}}, r"train\.early_stopping\.patience is missing"),
        ({"early_stopping": 3}, r"train\.early_stopping must be a section with keys"),
        ({"restarts": [3]}, r"train\.restarts is \[3\]; give epochs in rising order"),
        ({"restarts": [2, 1]}, "give epochs in rising order, from 1 to below train.epochs"),
        ({"restarts": [2], "warmup": 2}, "warmup is 2 epochs, but between two restarts is 1"),
        ({"restart_lr": 0.1}, r"train\.restart_lr needs train\.restarts"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1\.0; it must be from 0 to below 1"),
        ({"ema_decay": 1.0}, r"ema_decay is 1\.0; it must be from 0 to below 1"),
        ({"layer_decay": 0.0}, r"layer_decay is 0\.0; it must be above 0 and at most 1"),
        ({"accumulate": 0}, r"train\.accumulate is 0; it must be positive"),
        ({"head_lr": 0}, r"train\.head_lr is 0\.0; it must be positive"),
        ({"save_every": 0}, r"train\.save_every is 0; it must be positive"),
        ({"average": "sma"}, r"train\.average is 'sma'; it must be 'none', 'ema' or 'swad'"),
    ],
)
def test_settings_that_are_refused(small, change, message):
    with pytest.raises(UserError, match=message):
        quick(small, **change)


def test_the_schedule_begins_again_after_a_restart():
    config = TrainConfig(
        epochs=7, lr=0.1, schedule="cosine", warmup=0.5, restarts=[4], restart_lr=0.01
    )
    first = TrainConfig(epochs=4, lr=0.1, schedule="cosine", warmup=0.5)
    second = TrainConfig(epochs=3, lr=0.01, schedule="cosine", warmup=0.5)
    rates = [learning_rate(config, e, s, 6) for e in range(7) for s in range(6)]
    expected = [learning_rate(first, e, s, 6) for e in range(4) for s in range(6)]
    expected += [learning_rate(second, e, s, 6) for e in range(3) for s in range(6)]
    assert rates == expected


@pytest.mark.parametrize("schedule", ["constant", "step"])
@pytest.mark.parametrize("average", ["none", "swad"])
def test_an_extended_run_is_the_longer_run(small, tmp_path, capsys, schedule, average):
    def config(epochs):
        return quick(small, epochs=epochs, schedule=schedule, milestones=[1, 3], average=average)

    longer, run = train(config(4), tmp_path / "longer"), train(config(2), tmp_path / "run")
    predict(run, ["val"])
    capsys.readouterr()
    run = train(config(4), run.path)
    assert "extended from 2 to 4 epochs, with the learning rate" in capsys.readouterr().err
    assert same_runs(longer, run)
    assert Run(run.path).config.train.epochs == 4
    assert not run.predictions("val").exists(), "they are those of the shorter training"


def test_a_cosine_schedule_that_has_ended_begins_again_where_it_is_told(small, tmp_path):
    def config(epochs, **changes):
        return quick(small, epochs=epochs, schedule="cosine", lr=0.002, **changes)

    run = train(config(2), tmp_path / "run")
    before = run.weights.read_bytes()
    with pytest.raises(
        UserError,
        match=r"has trained 2 of 2 epochs with a cosine schedule, .*set train\.restarts to \[2\]",
    ):
        train(config(4), run.path)
    assert run.finished
    assert run.weights.read_bytes() == before
    again = config(4, restarts=[2], restart_lr=0.001)
    run = train(again, run.path)
    assert same_runs(train(again, tmp_path / "longer"), run)
    assert pd.read_csv(run.path / "log.csv")["epoch"].tolist() == [1, 2, 3, 4]


def test_an_extension_is_resumed_wherever_it_is_killed(small, tmp_path, monkeypatch):
    from fairexit.training import extend

    longer = train(quick(small, epochs=4), tmp_path / "longer")
    for place in ("write_json", "_remove_results"):
        folder = tmp_path / place
        train(quick(small, epochs=2), folder)
        with monkeypatch.context() as patch:
            patch.setattr(extend, place, lambda *_: (_ for _ in ()).throw(KilledError))
            with pytest.raises(KilledError):
                train(quick(small, epochs=4), folder)
        with monkeypatch.context() as patch:
            kill_after(patch, 1)
            with pytest.raises(KilledError):
                train(quick(small, epochs=4), folder)
        assert same_runs(longer, train(quick(small, epochs=4), folder))


def test_extensions_that_are_refused(small, tmp_path):
    run = train(quick(small, epochs=2), tmp_path / "run")
    with pytest.raises(UserError, match=r"holds a run with train\.epochs = 2, but this one has 1"):
        train(quick(small, epochs=1), run.path)
    with pytest.raises(UserError, match=r"holds a run with train\.batch_size = 32"):
        train(quick(small, epochs=4, batch_size=16), run.path)
    (run.checkpoints / "last.ckpt").unlink()
    with pytest.raises(UserError, match=r"has no checkpoints/last\.ckpt, from which its training"):
        train(quick(small, epochs=4), run.path)
    assert run.finished


def test_a_stopped_run_is_extended_with_more_patience_only(small, tmp_path):
    def config(epochs, patience):
        return quick(small, epochs=epochs, early_stopping={"patience": patience}, **STILL)

    run = train(config(4, 2), tmp_path / "run")
    with pytest.raises(UserError, match=r"ended after epoch 3: .*change train\.early_stopping"):
        train(config(6, 2), run.path)
    run = train(config(6, 4), run.path)
    assert len(pd.read_csv(run.path / "log.csv")) == 5
    assert same_runs(train(config(6, 4), tmp_path / "longer"), run)


def test_a_run_with_a_teacher_of_its_own_is_not_extended(small, tmp_path):
    run = train(quick(small, epochs=1, method="mfd"), tmp_path / "run")
    with pytest.raises(UserError, match="has a teacher of its own, which was trained for 1 epochs"):
        train(quick(small, epochs=2, method="mfd"), run.path)
    stamp = json.loads((run.path / "started.json").read_text())
    assert stamp["run"]["train"]["epochs"] == 1
