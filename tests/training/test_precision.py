"""What `auto` takes: the precision by measurement, which is recorded, and the device."""

import json
import re
from dataclasses import replace

import pytest
import torch

from fairexit.errors import UserError
from fairexit.pipeline import make_run, make_runs
from fairexit.repetition import rerun
from fairexit.runs import Run
from fairexit.study.load import load_study
from fairexit.training import fit, precision
from fairexit.training.fit import train
from fairexit.training.precision import auto_device, measured_precision
from trained import WITH_BATCH_NORM, KilledError, kill_after, quick, same_runs

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch):
    """How often the precision was measured; the result alternates."""
    calls = []

    def measure(*args):
        calls.append(args)
        return ("bf16-mixed", "32-true")[(len(calls) - 1) % 2]

    monkeypatch.setattr(fit, "measured_precision", measure)
    return calls


def config(data, **train):
    return quick(data, WITH_BATCH_NORM, precision="auto", **train)


def test_it_is_measured_once_and_recorded(small, tmp_path, monkeypatch, measured):
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(KilledError):
            train(config(small), tmp_path / "run")
    resumed = train(config(small), tmp_path / "run")
    assert len(measured) == 1
    assert resumed.config.train.precision == "bf16-mixed"
    named = replace(config(small).train, precision="bf16-mixed")
    whole = train(replace(config(small), train=named), tmp_path / "whole")
    assert same_runs(resumed, whole)
    again = rerun(resumed, tmp_path / "again")
    assert len(measured) == 1
    assert again.equal


def test_seeds_and_the_training_before_a_pruning_share_it(small, tmp_path, measured):
    settings = config(small, epochs=1)
    seeds = [replace(settings, seed=seed) for seed in (0, 1)]
    runs = make_runs(seeds, tmp_path / "seeds")
    more = make_runs([replace(settings, seed=2), *seeds], tmp_path / "seeds")
    assert len(measured) == 1
    assert {run.config.train.precision for run in runs + more} == {"bf16-mixed"}
    with pytest.raises(UserError, match=r"train\.precision = bf16-mixed, but this one has 32-true"):
        make_run(
            replace(settings, train=replace(settings.train, precision="32-true")),
            tmp_path / "seeds" / "seed0",
        )


@pytest.mark.parametrize(
    ("full", "half", "taken"),
    [(1.0, 0.5, "bf16-mixed"), (1.0, 0.95, "32-true"), (1.0, 1.5, "32-true")],
)
def test_the_faster_one_is_taken_if_it_is_clearly_faster(
    small, monkeypatch, capsys, full, half, taken
):
    clock = [0.0]
    real = precision._step

    def step(*args):
        compute = real(*args)

        def slow(name):
            compute(name)
            clock[0] += {"32-true": full, "bf16-mixed": half}[name]

        return slow

    monkeypatch.setattr(precision, "_step", step)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(precision, "emulates_bfloat16", lambda: False)
    task = small.task()
    assert measured_precision(config(small), task, small.size, CPU) == taken
    assert capsys.readouterr().err == (
        f"train.precision auto: {taken}; a step of 32 images takes {1000 * full:.0f} ms in "
        f"32-true, {1000 * half:.0f} ms in bf16-mixed\n"
    )


def test_both_precisions_compute_what_they_say(small, monkeypatch):
    types = []

    class Seen(torch.nn.Module):
        def forward(self, batch):
            types.append((batch.images @ batch.images.mT).dtype)
            weight = torch.ones((), requires_grad=True)
            return type("Losses", (), {"total": weight * 1})

    step = precision._step(Seen(), 2, 8, CPU)
    for name in ("32-true", "bf16-mixed"):
        step(name)
    assert types == [torch.float32, torch.bfloat16]


def test_a_processor_that_emulates_it_is_not_measured(small, monkeypatch, capsys):
    monkeypatch.setattr(precision, "emulates_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_times", None)
    assert measured_precision(config(small), small.task(), small.size, CPU) == "32-true"
    line = "train.precision auto: 32-true, because this processor emulates bfloat16\n"
    assert capsys.readouterr().err == line


def test_a_real_measurement(small, tmp_path, capsys):
    run = train(config(small, epochs=1), tmp_path / "run")
    assert run.config.train.precision in ("32-true", "bf16-mixed")
    error = capsys.readouterr().err
    assert error.count(f"train.precision auto: {run.config.train.precision}") == 1


def test_where_it_cannot_be_measured(small, tmp_path):
    with pytest.raises(UserError, match=r"measured on one device, but train.devices is 2; set"):
        train(config(small, devices=2, batch_size=32), tmp_path / "run")
    (tmp_path / "study.yaml").write_text(
        json.dumps(
            {
                "base": config(small).to_dict() | {"seed": 0},
                "datasets": {"small": {"data.path": str(small.path)}},
                "rows": {"erm": {}},
            }
        )
    )
    with pytest.raises(UserError, match="must compute alike; set it to 32-true or bf16-mixed"):
        load_study(tmp_path / "study.yaml")


def test_a_damaged_record(small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "started.json").write_text("[]")
    with pytest.raises(UserError, match=r"started.json is damaged"):
        train(config(small), Run(tmp_path / "run").path)


def test_the_device_that_auto_has_taken_is_said(small, tmp_path, capsys):
    train(quick(small, WITH_BATCH_NORM, epochs=1), tmp_path / "auto")
    assert capsys.readouterr().err.splitlines()[0].startswith("device auto: ")
    train(quick(small, WITH_BATCH_NORM, epochs=1, device="cpu"), tmp_path / "cpu")
    assert "device auto" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cuda", "why"), [("13.0", "torch finds no GPU"), (None, r"torch \S+ is built for CPUs only")]
)
def test_why_there_is_no_gpu(monkeypatch, cuda, why):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    assert re.fullmatch(f"device auto: cpu, because {why}", auto_device(CPU))
