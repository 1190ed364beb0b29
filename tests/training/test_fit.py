"""Training: what is logged, what resumes, what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision

from conftest import settings
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader, balancing_weights
from fairexit.data.prepared import Prepared
from fairexit.errors import DivergedError, UserError
from fairexit.methods import methods
from fairexit.runs import FORMAT, Run, open_run
from fairexit.training import checkpoint, fit, processes, trainer
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train
from fairexit.training.setup import exit_weights, resolve, slow_precision
from kills.compare import scalars
from trained import KilledError, kill_after, quick, same_weights
from waiting import wait_until


def test_a_run_has_its_files(tiny_run):
    log = pd.read_csv(tiny_run.path / "log.csv")
    assert log["epoch"].tolist() == [1, 2]
    assert {"train_loss", "train_target1", "val_f1", "val_eodd", "val_f13"} <= set(log.columns)
    assert list((tiny_run.path / "tensorboard").iterdir())
    info = json.loads((tiny_run.path / "config.json").read_text())
    assert info["model"]["exits"] == [1, 3]
    assert info["preprocessing"]["size"] == 28
    assert open_run(tiny_run.path).config == resolve(settings(tiny_run.config.data.path))


def test_the_best_epoch_is_kept_and_the_last(tiny, tmp_path):
    run = train(settings(tiny.path, train__epochs=4, train__lr=0.05), tmp_path / "r")
    log = pd.read_csv(run.path / "log.csv")
    last_is_best = log["val_f1"].argmax() == 3
    assert same_weights(run.weights, run.last_weights) == last_is_best
    assert [file.name for file in run.checkpoints.iterdir()] == ["last.ckpt"], "only more epochs"


@contextmanager
def trained_epochs(monkeypatch):
    """The numbers, from 0, of the epochs that are trained meanwhile."""
    epochs, original = [], fit.Trainer._train_epoch

    def train_epoch(self, epoch, bar):
        epochs.append(epoch)
        return original(self, epoch, bar)

    with monkeypatch.context() as patch:
        patch.setattr(fit.Trainer, "_train_epoch", train_epoch)
        yield epochs


@pytest.mark.parametrize("exits", ["none", [2]])
def test_resumed_equals_uninterrupted(tiny, tmp_path, monkeypatch, exits):
    config = settings(tiny.path, train__epochs=3, model__exits=exits)
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(KilledError):
            train(config, tmp_path / "killed")
    assert not Run(tmp_path / "killed").finished
    with trained_epochs(monkeypatch) as epochs:
        resumed = train(config, tmp_path / "killed")
    assert epochs == [1, 2]
    assert same_weights(whole.weights, resumed.weights)
    assert same_weights(whole.last_weights, resumed.last_weights)
    timeless = [c for c in pd.read_csv(whole.path / "log.csv") if "seconds" not in c]
    logs = [pd.read_csv(run.path / "log.csv")[timeless] for run in (whole, resumed)]
    pd.testing.assert_frame_equal(*logs)


def test_short_epochs_are_not_all_stored(tiny, tmp_path, monkeypatch):
    stored, save = [], checkpoint.save_checkpoint
    monkeypatch.setattr(checkpoint, "STORE_EVERY", float("inf"))
    monkeypatch.setattr(
        checkpoint, "save_checkpoint", lambda *args: (stored.append(args[-1].epoch), save(*args))
    )
    run = train(settings(tiny.path, train__epochs=4), tmp_path / "r")
    assert stored == [1, 4]
    assert len(pd.read_csv(run.path / "log.csv")) == 4


def test_the_scale_of_half_precision_is_resumed_too(tiny, tmp_path, monkeypatch):
    class Scaled(MixedPrecision):
        """Half precision's scaler over full precision, which is quicker on a CPU."""

        def forward_context(self):
            return nullcontext()

        def convert_input(self, data):
            return data

    class Half(Fabric):
        """The scale soon overflows, so that steps are skipped."""

        def __init__(self, **options):
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**125, growth_interval=3)
            plugin = Scaled("16-mixed", "cpu", scaler)
            super().__init__(accelerator="cpu", devices=1, plugins=plugin)
            scalers.append(scaler)

    scalers: list[torch.amp.GradScaler] = []
    monkeypatch.setattr(processes, "Fabric", Half)
    config = settings(tiny.path, model__exits="none", train__epochs=2)
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(KilledError):
            train(config, tmp_path / "killed")
    resumed = train(config, tmp_path / "killed")
    first, killed, last = (scaler.state_dict() for scaler in scalers)
    assert last == first != killed
    assert same_weights(whole.last_weights, resumed.last_weights)


def test_kill_minus_nine_and_the_same_command_again(tiny, tmp_path):
    config = settings(tiny.path, train__epochs=3)
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    command = [sys.executable, "-m", "fairexit", "train", str(tmp_path / "c.yaml"), "--out"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "r")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until((tmp_path / "r" / "log.csv").exists, lambda: process.poll() is None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    assert not Run(tmp_path / "r").finished
    subprocess.run([*command, str(tmp_path / "r")], check=True, capture_output=True, timeout=300)
    again = train(config, tmp_path / "whole")
    assert same_weights(again.weights, tmp_path / "r" / "model.safetensors")


def test_a_kill_after_a_checkpoint_loses_no_events(small, tmp_path, monkeypatch):
    whole = train(quick(small), tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(KilledError):
            train(quick(small), tmp_path / "killed")
    resumed = train(quick(small), tmp_path / "killed")
    assert scalars(resumed.path / "tensorboard") == scalars(whole.path / "tensorboard")


def test_a_kill_at_the_very_end_leaves_no_weights_behind(small, tmp_path, monkeypatch):
    def kill(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "remove_checkpoints", kill)
        with pytest.raises(KilledError):
            train(quick(small), tmp_path / "r")
    assert len([*(tmp_path / "r" / "checkpoints").iterdir()]) == 2
    run = train(quick(small), tmp_path / "r")
    assert [file.name for file in run.checkpoints.iterdir()] == ["last.ckpt"]


def test_a_finished_run_is_not_trained_again(tiny, tiny_run, monkeypatch):
    monkeypatch.setattr(fit, "Trainer", None)
    assert train(settings(tiny.path), tiny_run.path).finished


def test_a_setting_that_an_earlier_version_lacked_counts_as_its_default(tiny, tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "r")
    stamp = tmp_path / "r" / "started.json"
    content = json.loads(stamp.read_text())
    assert content["run"]["train"].pop("capture") == "auto"
    stamp.write_text(json.dumps(content))
    assert train(settings(tiny.path), tmp_path / "r").finished
    with pytest.raises(UserError, match=r"train\.capture = auto, but this one has none"):
        train(settings(tiny.path, train__capture="none"), tmp_path / "r")


def test_other_settings_or_data_in_the_same_folder(tiny, tiny_run, tmp_path):
    with pytest.raises(
        UserError, match=r"run with train\.lr = 0\.02, but this one has 0\.5; choose another 'out'"
    ):
        train(settings(tiny.path, train__lr=0.5), tiny_run.path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="exists but is not a run"):
        train(settings(tiny.path), tmp_path / "x")
    stamp = json.loads((tiny_run.path / "started.json").read_text())
    run = Run(tmp_path / "r")
    config = settings(tiny.path)
    run.start(config, stamp["data"])
    (run.path / "config.yaml").unlink()
    run.start(config, stamp["data"])  # killed between its first two files
    assert (run.path / "config.yaml").exists()
    with pytest.raises(UserError, match=r"the data of .* have changed since its training started"):
        run.start(config, {**stamp["data"], "images.npy": "other"})
    (run.path / "started.json").write_text(json.dumps({**stamp, "format": 0}))
    with pytest.raises(UserError, match=f"has format 0, but this version writes {FORMAT}"):
        run.start(config, stamp["data"])


def test_a_diverging_loss_is_one_line(tiny, tmp_path):
    with pytest.raises(UserError, match=r"the loss of epoch 1 is .*; lower train\.lr"):
        train(settings(tiny.path, train__lr=1e30), tmp_path / "r")


def test_a_full_disk_loses_nothing(tiny, tmp_path, monkeypatch):
    config = settings(tiny.path)
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(trainer, "write_atomically", full)
        with pytest.raises(UserError, match="No space left on device"):
            train(config, tmp_path / "r")
    assert train(config, tmp_path / "r").finished


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train__exit_weights": [1.0]},
            "give 3 weights that are not negative and not all 0, for the exits 1, 3, f",
        ),
        ({"train__exit_weights": [0.0, 0.0, 0.0]}, "give 3 weights that are not .* not all 0"),
        ({"train__exit_weights": [1.0, -1.0, 1.0]}, "give 3 weights that are not negative"),
        ({"train__exit_weights": [1.0, 1.0, float("inf")]}, "give 3 weights that are not negative"),
        ({"model__exits": [3, 1]}, r"exits is \[3, 1\]; list the stages in rising order, \[1, 3\]"),
        ({"data__group": "sex"}, "has no attribute 'sex'; .*skin_tone"),
        ({"data__fold": 1}, "has no folds"),
        ({"train__batch_size": 1}, "batch normalisation needs at least 2"),
        ({"train__exit_weights": [1.0, 1.0, float("nan")]}, "give 3 weights that are not negative"),
        ({"model__backbone": "resnet17"}, "there is no backbone 'resnet17'; did you mean"),
        ({"model__head": "cnov"}, "there is no head 'cnov'; did you mean 'conv'"),
        ({"method": {"name": "ermm"}}, "there is no method 'ermm'; did you mean 'erm'"),
        ({"method": {"name": "erm", "x": 1}}, "method 'erm' has no option 'x'; it has none"),
        ({"train__device": "abacus"}, r"train\.device is 'abacus' and train\.devices is 1: "),
        ({"train__devices": 3}, "it must be a multiple of train.devices, 3"),
    ],
)
def test_settings_that_do_not_fit(tiny, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        train(settings(tiny.path, **change), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_no_batch_of_one_is_left_over(tiny, tmp_path, monkeypatch):
    odd = tiny.rows("train")[: 2 * (len(tiny.rows("train")) // 2) - 1]
    monkeypatch.setattr(Prepared, "rows", lambda *_: odd)
    for change in ({"train__batch_size": 2}, {"train__batch_size": 4, "train__devices": 2}):
        with pytest.raises(
            UserError, match=f"divides {len(odd)} images into batches of as few as 1"
        ):
            train(settings(tiny.path, **change), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_exit_weights_of_the_paper(tiny_run):
    net = load_net(tiny_run)
    assert exit_weights(net, "paper") == [0.3, 0.6, 0.9]
    assert exit_weights(net, "equal") == [1, 1, 1]


def test_every_epoch_asked_for_is_trained(tiny, tmp_path):
    run = train(settings(tiny.path, train__epochs=1), tmp_path / "r")
    assert len(pd.read_csv(run.path / "log.csv")) == 1


def loader(tiny, rank=0, world=1, batch_size=32):
    rows = tiny.rows("train")
    return Loader(
        tiny,
        rows,
        "skin_tone",
        batch_size=batch_size,
        device=torch.device("cpu"),
        rank=rank,
        world=world,
    )


def test_batches_are_even_and_complete(tiny):
    plain = Augment("none", 0)
    batches = list(loader(tiny, batch_size=31).training(plain, "natural", 0, 0))
    sizes = [len(b.labels) for b in batches]
    assert sum(sizes) == len(tiny.rows("train"))
    assert max(sizes) - min(sizes) <= 1
    assert batches[0].images.is_contiguous(memory_format=torch.channels_last)


def test_processes_share_an_epoch_without_padding(tiny):
    plain = Augment("none", 0)
    whole = torch.cat([b.images for b in loader(tiny).evaluation(plain)])
    parts = [torch.cat([b.images for b in loader(tiny, r, 3).evaluation(plain)]) for r in range(3)]
    assert sum(map(len, parts)) == len(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    shares = torch.cat(parts).flatten(1).unique(dim=0)
    assert torch.equal(shares, whole.flatten(1).unique(dim=0))


@pytest.mark.parametrize("world", [2, 3])
def test_each_process_evaluates_images_of_every_group_whatever_their_order(tiny, world):
    rows = tiny.rows("train")
    groups = tiny.groups("skin_tone")[rows]
    per_group = [rows[groups == 0], rows[groups == 1], rows[groups == 0][::-1]][:world]
    number = min(map(len, per_group))
    alternating = np.stack([part[:number] for part in per_group], axis=1).ravel()
    for rank in range(world):
        part = Loader(
            tiny,
            alternating,
            "skin_tone",
            batch_size=8,
            device=torch.device("cpu"),
            rank=rank,
            world=world,
        )
        assert set(part.evaluated_groups.tolist()) == {0, 1}


def test_balanced_sampling():
    labels = np.array([0] * 90 + [1] * 10)
    for power, share in [(0.0, 0.1), (0.5, 0.25), (1.0, 0.5)]:
        weights = balancing_weights(labels, power)
        assert weights[90:].sum() == pytest.approx(share)


def test_order_depends_on_seed_and_epoch_only(tiny):
    one, other = loader(tiny), loader(tiny, batch_size=7)
    assert np.array_equal(one.order("sqrt", 1, 2), other.order("sqrt", 1, 2))
    assert not np.array_equal(one.order("sqrt", 1, 2), one.order("sqrt", 1, 3))
    assert sorted(one.order("natural", 0, 0)) == tiny.rows("train").tolist()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("checkpoints/last.ckpt", "", r"last\.ckpt is damaged"),
        ("started.json", json.dumps({"format": FORMAT}), "is damaged; choose another 'out'"),
        ("started.json", "", r"started\.json is damaged"),
    ],
)
def test_damaged_files_of_an_unfinished_run(tiny, tmp_path, monkeypatch, file, content, message):
    config, run = settings(tiny.path, train__epochs=2), Run(tmp_path / "run")
    kill_after(monkeypatch, 1)
    with pytest.raises(KilledError):
        train(config, run.path)
    (run.path / file).write_text(content)
    with pytest.raises(UserError, match=message):
        train(config, run.path)


def test_an_unfinished_run_without_its_best_weights(tiny, tmp_path, monkeypatch):
    config, run = settings(tiny.path, train__epochs=2), Run(tmp_path / "run")
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(KilledError):
            train(config, run.path)
    (run.checkpoints / "best-1.safetensors").unlink()
    with pytest.raises(
        UserError, match=r"best-1\.safetensors is missing; remove .* and train again"
    ):
        train(config, run.path)


def test_damaged_runs(tiny_run, tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is not a run; make one with `fairexit train`"):
        open_run(tmp_path)
    (tmp_path / "started.json").write_text("{}")
    with pytest.raises(UserError, match="has not finished training; call `fairexit train` again"):
        open_run(tmp_path)
    info = json.loads((tiny_run.path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**info, "format": 7}))
    with pytest.raises(UserError, match=f"has format 7, but this version reads {FORMAT}"):
        open_run(tmp_path)
    for damage, message in [
        ("[1]", "is damaged"),
        (json.dumps({"format": FORMAT}), "lacks 'data'"),
    ]:
        (tmp_path / "config.json").write_text(damage)
        with pytest.raises(UserError, match=message):
            open_run(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(info | {"preprocessing": {"size": 28}}))
    with pytest.raises(UserError, match=r"lacks 'preprocessing\.fit'"):
        open_run(tmp_path)
    newer = info | {"model": info["model"] | {"gates": True}}
    (tmp_path / "config.json").write_text(json.dumps(newer))
    with pytest.raises(UserError, match=r"config\.json is damaged .*'gates'"):
        load_net(open_run(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(info))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(UserError, match=r"does not fit its config\.json"):
        load_net(open_run(tmp_path))


@pytest.mark.parametrize(
    ("precision", "device", "capability", "is_noted"),
    [
        ("bf16-mixed", "cpu", "AVX2", True),
        ("bf16-mixed", "auto", "AVX2", not torch.cuda.is_available()),
        ("bf16-mixed", "cuda", "AVX2", False),
        ("bf16-mixed", "cpu", "AVX512", False),
        ("32-true", "cpu", "AVX2", False),
    ],
)
def test_an_emulated_precision(tiny, monkeypatch, precision, device, capability, is_noted):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    config = settings(tiny.path, train__precision=precision, train__device=device)
    assert (slow_precision(config) is not None) == is_noted


def test_an_emulated_precision_is_noted(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainer, "slow_precision", lambda config: "note: slow")
    train(settings(tiny.path, train__epochs=1), tmp_path / "r")
    assert "note: slow" in capsys.readouterr().err


def test_images_without_a_cluster_are_each_their_own(tiny):
    frame = tiny.frame.assign(cluster=["", None, "a", "a", *tiny.frame["cluster"][4:]])
    data = Prepared(tiny.path, tiny.info, frame, tiny.images)
    clusters = Loader(
        data, np.arange(4), "skin_tone", batch_size=4, device=torch.device("cpu")
    ).evaluated_clusters.tolist()
    assert len(set(clusters)) == 3
    assert clusters[2] == clusters[3]


def test_a_criterion_without_a_value_is_refused_before_training(tiny, tmp_path, monkeypatch):
    # Each class is of one group only, so that no gap of true positive rates is defined.
    monkeypatch.setattr(Prepared, "groups", lambda data, _: data.labels % 2)
    config = settings(tiny.path, train__epochs=1, train__select="eodd")
    with pytest.raises(UserError, match=r"Eodd is not defined on validation, .* of skin_tone"):
        train(config, tmp_path / "r")
    assert not (tmp_path / "r").exists()
    assert train(settings(tiny.path, train__epochs=1), tmp_path / "r").finished


def test_a_run_says_all_options_of_its_method(tiny, tmp_path):
    run = train(settings(tiny.path, method={"name": "hsic"}, train__epochs=1), tmp_path / "r")
    assert run.config.method["name"] == "hsic"
    assert run.config.method.keys() == {"name", *methods.options("hsic")}


def test_a_last_step_that_ruins_the_weights_is_told(tiny, tmp_path):
    """The loss of the only step is that of the start, so only validation shows it."""
    config = settings(tiny.path, train__epochs=1, train__batch_size=160, train__lr=1e30)
    with pytest.raises(DivergedError, match="after epoch 1 the network answers no number"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()
