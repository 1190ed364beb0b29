"""Twins on the GPU: whatever computes there gives what the CPU gives."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from conftest import settings
from fairexit.config_prune import PruneConfig
from fairexit.data.augment import POLICIES, Augment
from fairexit.inference.early_exit import early_exit
from fairexit.inference.entanglement import measure_entanglement
from fairexit.inference.predict import predict
from fairexit.losses.hsic import hsic_by_class
from fairexit.losses.mmd import mmd_by_cell
from fairexit.losses.snnl import exact_snnl
from fairexit.methods import methods
from fairexit.metrics import GroupFairness
from fairexit.models import create_model
from fairexit.predictions.files import read_predictions
from fairexit.pruning.masks import load_masks
from fairexit.pruning.prune import prune
from fairexit.training import checkpoint, fit
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train
from trained import KilledError

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

GPU = torch.device("cuda")


@pytest.fixture(autouse=True, scope="module")
def _exact_products():
    """Convolutions in float32, where they would be in TF32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield


@pytest.mark.parametrize("policy", POLICIES)
def test_augmentation(policy):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 3, 30, 28), np.uint8))
    positions = np.arange(64)
    augment = Augment(policy, seed=1)
    here, there = (augment(images.to(d), positions, 2).cpu() for d in ("cpu", GPU))
    # Rounding of a blend to the nearest level may fall on either side.
    assert ((here - there).abs() > 1e-4).float().mean() < 1e-3
    assert (here - there).abs().max() < 0.02


def test_losses():
    torch.manual_seed(0)
    z, labels, groups = torch.randn(200, 16), torch.arange(200) % 4, torch.randint(-1, 2, (200,))
    teacher = torch.randn(200, 16)

    def values(device):
        mine = z.to(device, copy=True).requires_grad_()
        y, a, t = labels.to(device), groups.to(device), teacher.to(device)
        loss = hsic_by_class(mine, a, y, 4).values.sum()
        loss = (
            loss + mmd_by_cell(t, mine, y, a, num_classes=4, num_groups=2, sigma=0.5).values.sum()
        )
        loss.backward()
        exact = exact_snnl(mine.detach(), [a, y], (0.1, 1.0), relative=True)
        return [v.detach().cpu() for v in (loss, mine.grad, exact.value, exact.influence)]

    for here, there in zip(values("cpu"), values(GPU), strict=True):
        torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-5)


def test_group_metrics_wait_for_the_gpu_only_at_the_end():
    torch.manual_seed(0)
    batch = torch.randn(99, 4), torch.randint(4, (99,)), torch.randint(-1, 2, (99,))
    here = GroupFairness(4, 2, validate_args=False)
    there = GroupFairness(4, 2, validate_args=False).to(GPU)
    here.update(*batch)
    batch = [values.to(GPU) for values in batch]
    torch.cuda.set_sync_debug_mode("error")
    try:
        there.update(*batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    values = there.compute()
    assert all(value.device.type == "cuda" for value in values.values())
    assert {name: value.item() for name, value in values.items()} == {
        name: value.item() for name, value in here.compute().items()
    }


def test_images_leave_where_they_leave_on_the_cpu():
    torch.manual_seed(0)
    net = create_model("resnet18", 3, exits="all", image_size=28).eval()
    x = torch.rand(40, 3, 28, 28)
    with torch.inference_mode():
        sure = net(x)[0].logits.softmax(1).amax(1).sort().values
        # Halfway between two images, so that rounding moves none.
        for theta in (None, 1.0, float(sure[19] + sure[20]) / 2):
            here, there = (early_exit(net.to(d), x.to(d), theta) for d in ("cpu", GPU))
            assert torch.equal(here.exit, there.exit.cpu())
            torch.testing.assert_close(
                there.probabilities.cpu(), here.probabilities, rtol=1e-3, atol=1e-5
            )
    assert (here.exit == 0).sum() == 20


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    # At a low rate sums taken in another order stay small.
    config = settings(tiny.path, train__device="cuda", train__epochs=3, train__lr=0.002)
    return train(config, tmp_path_factory.mktemp("gpu") / "run")


def test_training_follows_the_cpu(tiny, tmp_path, trained):
    on_cpu = replace(trained.config, train=replace(trained.config.train, device="cpu"))
    here, there = (pd.read_csv(r.path / "log.csv") for r in (train(on_cpu, tmp_path), trained))
    first = [c for c in here if c.startswith("train_")]
    np.testing.assert_allclose(there[first].iloc[0], here[first].iloc[0], rtol=0.02)


def test_predictions_entanglement_and_pruning(trained, tmp_path):
    tables, depths, masks = [], [], []
    for device in ("cpu", "cuda"):
        predict(trained, ["test"], device=device, out=tmp_path / device)
        tables.append(read_predictions(tmp_path / device / "test.parquet"))
        depths.append(measure_entanglement(trained, device=device).rows)
        config = PruneConfig(images=12, chunk=6, steps=1, stop=False, device=device)
        pruned = prune(trained, tmp_path / f"pruned-{device}", config)
        masks.append(load_masks(pruned, load_net(pruned)))
    here, there = (table.probabilities for table in tables)
    np.testing.assert_allclose(there, here, atol=1e-4)
    columns = ["snnl", "snnl_low", "snnl_high"]
    np.testing.assert_allclose(depths[1][columns], depths[0][columns], rtol=1e-3, atol=1e-4)
    agree = [(m == masks[1][name]).float().mean().item() for name, m in masks[0].items()]
    assert min(agree) > 0.99


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
@pytest.mark.parametrize("name", methods.names())
def test_every_method_in_half_precision(tiny, tmp_path, name, precision):
    config = settings(
        tiny.path,
        method={"name": name},
        train__device="cuda",
        train__epochs=1,
        train__precision=precision,
    )
    run = train(config, tmp_path / "run")
    assert all(torch.isfinite(w).all() for w in load_file(run.weights).values())
    assert load_net(run).num_exits == 3


@pytest.mark.parametrize("name", methods.names())
def test_steps_from_cuda_graphs_follow_the_ordinary_loop(tiny, tmp_path, monkeypatch, capsys, name):
    """The batches are small, so that most steps are replayed."""
    config = settings(
        tiny.path,
        method={"name": name},
        train__device="cuda",
        train__batch_size=8,
        train__lr=0.0005,
    )
    replays, replay = [], torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(
        torch.cuda.CUDAGraph, "replay", lambda graph: (replays.append(1), replay(graph))
    )
    captured = train(config, tmp_path / "captured")
    assert replays
    assert "not captured" not in capsys.readouterr().err
    ordinary = train(
        replace(config, train=replace(config.train, capture="none")), tmp_path / "ordinary"
    )
    where = "erm/log.csv" if name == "dfr" else "log.csv"
    logs = [pd.read_csv(run.path / where) for run in (captured, ordinary)]
    columns = [c for c in logs[0] if c.startswith("train_")]
    np.testing.assert_allclose(logs[0][columns], logs[1][columns], rtol=0.02, atol=1e-3)


def test_a_killed_run_goes_on(tiny, tmp_path, monkeypatch, trained):
    original = checkpoint.save_checkpoint

    def save(*args):
        original(*args)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", save)
        with pytest.raises(KilledError):
            train(trained.config, tmp_path / "run")
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    resumed = []
    with monkeypatch.context() as patch:
        step = fit.Trainer._train_epoch

        def train_epoch(self, epoch, bar):
            if not resumed:
                resumed.append(
                    self.stepper.optimizer.state_dict()["state"][0]["momentum_buffer"].clone()
                )
            return step(self, epoch, bar)

        patch.setattr(fit.Trainer, "_train_epoch", train_epoch)
        train(trained.config, tmp_path / "run")
    stored = state["optimizer"]["state"][0]["momentum_buffer"]
    assert resumed[0].device.type == GPU.type
    assert stored.any()
    assert torch.equal(resumed[0].cpu(), stored.cpu())
    assert pd.read_csv(tmp_path / "run" / "log.csv")["epoch"].tolist() == [1, 2, 3]
