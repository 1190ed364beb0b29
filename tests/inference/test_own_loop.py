"""A network of one's own loop becomes a run that every command takes."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import fairexit
from fairexit.errors import UserError
from fairexit.inference.early_exit import early_exit
from fairexit.inference.own_loop import save_run
from fairexit.models import create_model
from fairexit.models.exitnet import unwrap
from fairexit.predictions.files import read_predictions
from fairexit.training.checkpoint import load_net


def network(classes=5, **options):
    torch.manual_seed(0)
    return create_model("resnet18", classes, exits=[1, 3], **options)


class Lit(nn.Module):
    """The form of a LightningModule: the network is an attribute among others."""

    def __init__(self):
        super().__init__()
        self.net = network()


def test_the_run_answers_as_the_network_does(tiny, tmp_path, capsys):
    net = network()
    run = save_run(net, tiny, tmp_path / "mine")
    assert net.training
    rows = tiny.rows("val")
    images = torch.tensor(tiny.images[rows]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = net.eval().probabilities(images).numpy()
    stored = read_predictions(run.predictions("val"))
    np.testing.assert_allclose(stored.probabilities, expected, atol=1e-6)
    accuracy = (expected[:, -1].argmax(-1) == tiny.labels[rows]).mean()
    assert (
        f"accuracy {accuracy:.4f} on the {len(rows)} validation images" in capsys.readouterr().err
    )
    assert json.loads((run.path / "config.json").read_text())["own_loop"] is True


def test_every_later_step_works(tiny, tmp_path):
    run = fairexit.save_run(network(), tiny.path, tmp_path / "mine", settings={"train.lr": 0.003})
    assert run.config.train.lr == 0.003
    fairexit.predict(run)
    fairexit.evaluate(run)
    assert fairexit.audit(run.path).summary
    assert len(fairexit.load_model(run.path)(tiny.images[:2])) == 2
    pruned = fairexit.prune(
        run, tmp_path / "pruned", method="magnitude", ratio=0.2, steps=1, finetune=1
    )
    assert pruned.finished


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel, torch.compile])
def test_wrappers_are_taken_off(wrap, tiny, tmp_path):
    net = network().eval()
    wrapped = wrap(net)
    assert isinstance(unwrap(wrapped), type(net))
    images = torch.rand(4, 3, 28, 28)
    ours, plain = early_exit(wrapped.eval(), images, 0.5), early_exit(net, images, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))
    saved = load_net(save_run(wrapped, tiny, tmp_path / "mine")).state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in net.state_dict().items())


def test_a_mixture_keeps_its_method(tiny, tmp_path):
    net = network()
    net.mix(2)
    assert save_run(net, tiny, tmp_path / "mine").config.method["name"] == "domainindep"


@pytest.mark.parametrize(
    ("net", "settings", "message"),
    [
        (nn.Linear(3, 2), {}, "Linear is not a network of fairexit.create_model, nor a wrapper"),
        (Lit(), {}, "Lit is not a network .* as a LightningModule does, give that"),
        (network(3), {}, "the network has 3 classes, but .* has 5: "),
        (network(image_size=32), {}, "was made for images of 32 px, but .* has 28 px"),
        (network(), {"model.backbone": "vgg11"}, "'settings' has 'model.backbone', but the data"),
        (network(), {"train.lrr": 1}, "lrr"),
    ],
)
def test_what_does_not_fit_is_refused(net, settings, message, tiny, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        save_run(net, tiny, tmp_path / "mine", settings=settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "mine").exists()


def test_a_folder_with_files_is_refused(tiny, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UserError, match=r"exists and is not empty; choose another"):
        save_run(network(), tiny, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]
