"""Training that starts from a run or from a file of weights."""

import json
import shutil

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from conftest import settings
from fairexit.errors import UserError
from fairexit.models import create_model
from fairexit.pipeline import make_run
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train
from fairexit.training.setup import build
from fairexit.training.start import other_division, start_network
from fairexit.types import Task

CLASSES = ("a", "b", "c")
TASK = Task(CLASSES, "group", ("x", "y"))
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def start(path, task=TASK, **model):
    tree = {"start": str(path), "exits": [1, 3], **model}
    return start_network(settings("d", model=tree).model, task, 32)


def saved(net, path, prefix=""):
    """The state dict of a network in a checkpoint as Lightning writes it."""
    state = {prefix + k: t for k, t in net.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    return path


def same(state, other, prefix):
    keys = [k for k in state if k.startswith(prefix)]
    assert keys
    return all(torch.equal(state[k], other[k]) for k in keys)


@pytest.mark.parametrize("prefix", ["", "model.", "_orig_mod.", "module.net."])
def test_a_checkpoint_of_ones_own_loop(prefix, tmp_path):
    net = create_model("resnet18", 3, exits=[1, 2], normalisation="imagenet")
    started = start(saved(net, tmp_path / "c.ckpt", prefix), exits=[1, 3])
    assert started.loaded == ("1", "f")
    assert started.note.endswith("these exits are loaded: 1, f; these exits start fresh: 3")
    assert started.net.config["normalisation"] == IMAGENET
    old, new = net.state_dict(), started.net.state_dict()
    assert same(old, new, "backbone.")
    assert same(old, new, "heads.1.")


def test_a_head_of_another_layout_starts_fresh(tmp_path):
    net = create_model("resnet18", 3, exits=[1, 3], head="pool")
    started = start(saved(net, tmp_path / "c.pth"))
    assert started.loaded == ("f",)
    assert same(net.state_dict(), started.net.state_dict(), "backbone.")


def test_other_classes_start_all_exits_fresh(tiny_run):
    old = load_net(tiny_run).state_dict()
    classes = tuple(tiny_run.description["label2id"])
    same_task = Task(classes, "group", ("x", "y"))
    assert start(tiny_run.path, same_task).loaded == ("1", "3", "f")
    other = start(tiny_run.path, Task(classes[::-1], "group", ("x", "y")))
    assert other.loaded == ()
    assert "these exits start fresh: 1, 3, f" in other.note
    new = other.net.state_dict()
    assert same(old, new, "backbone.stages")
    assert not same(old, new, "backbone.head.classifier")
    assert not same(old, new, "heads.1.")


def test_a_librarys_state_dict_needs_its_normalisation(tmp_path):
    network = torchvision.models.resnet18(num_classes=3)
    path = saved(network, tmp_path / "own.pth", "module.")
    with pytest.raises(UserError, match=r"own\.pth does not say how .* set model\.normalisation"):
        start(path)
    started = start(path, normalisation="half")
    assert started.loaded == ("f",)
    assert started.net.config["normalisation"]["mean"] == [0.5] * 3
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = network.eval()((x - 0.5) / 0.5)
        torch.testing.assert_close(started.net.eval()(x)[-1].logits, expected)
    fewer = start(path, Task(("a", "b"), "group", ("x", "y")), normalisation="none")
    assert fewer.loaded == ()


def test_a_start_that_does_not_fit_is_one_line(tiny_run, tmp_path):
    with pytest.raises(UserError, match=r"has the backbone resnet18, but model\.backbone is vgg11"):
        start(tiny_run.path, backbone="vgg11")
    with pytest.raises(UserError, match=r"has the stem standard, but model\.stem is small"):
        start(tiny_run.path, stem="small")
    with pytest.raises(UserError, match=r"imagenet|'mean'.* was trained with none; leave"):
        start(tiny_run.path, normalisation="imagenet")
    with pytest.raises(UserError, match=r"model\.start: there is no file .*absent"):
        start(tmp_path / "absent")
    with pytest.raises(UserError, match="is not a run"):
        start(tmp_path)
    with pytest.raises(UserError, match=r"model\.start and model\.pretrained are both given"):
        start(tiny_run.path, pretrained=True)
    vgg = saved(create_model("vgg11", 3), tmp_path / "vgg.pth")
    with pytest.raises(UserError, match=r"vgg\.pth does not fit resnet18: it lacks \d+ .* others"):
        start(vgg)
    library = saved(torchvision.models.vgg11(), tmp_path / "lib.pth")
    with pytest.raises(UserError, match=r"lib\.pth does not fit resnet18: it lacks"):
        start(library, normalisation="none")


def test_a_network_of_fairexit_is_no_library_weights(tiny_run):
    with pytest.raises(UserError, match=r"holds a trained network of fairexit; .* model\.start"):
        create_model("resnet18", 3, pretrained=tiny_run.weights)


def test_weights_of_old_pytorch_lack_the_counters(tmp_path):
    state = torchvision.models.resnet18(num_classes=3).state_dict()
    old = {k: t for k, t in state.items() if not k.endswith("num_batches_tracked")}
    save_file(old, tmp_path / "old.safetensors")
    net = create_model("resnet18", 3, pretrained=tmp_path / "old.safetensors")
    assert torch.equal(net.state_dict()["backbone.head.classifier.bias"], state["fc.bias"])


def test_a_run_goes_on_from_another(tiny, tiny_run, tmp_path, capfd):
    """Its first epoch begins at the weights of the start, and it opens without the start."""
    (tmp_path / "start").mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_run.path / name, tmp_path / "start")
    changes = {"start": str(tmp_path / "start"), "exits": [1, 2]}
    config = settings(tiny.path, model=changes, train__epochs=1, train__lr=1e-9)
    run = train(config, tmp_path / "next")
    assert "these exits are loaded: 1, f; these exits start fresh: 2" in capfd.readouterr().err
    old, new = load_file(tiny_run.weights), load_file(run.weights)
    for key in ("backbone.stages.0.0.weight", "backbone.head.classifier.weight"):
        torch.testing.assert_close(old[key], new[key], atol=1e-6, rtol=0)
    shutil.rmtree(tmp_path / "start")
    assert load_net(run).exit_names == ["1", "2", "f"]


def test_another_division_of_the_data_is_said(tiny, tiny_run, tmp_path):
    assert other_division(tiny_run.path, tiny, None) is None
    assert "included images of this run's validation and test" in other_division(
        tiny_run.path, tiny, 1
    )
    assert other_division(tiny_run.weights, tiny, 1) is None
    shutil.copytree(tiny_run.path, tmp_path / "other")
    info = json.loads((tmp_path / "other/config.json").read_text())
    info["data"]["name"] = "another"
    (tmp_path / "other/config.json").write_text(json.dumps(info))
    assert other_division(tmp_path / "other", tiny, 1) is None


def test_with_pruning_a_start_that_does_not_fit_leaves_no_folder(tiny, tiny_run, tmp_path):
    for model, freeze, message in [
        ({"start": str(tiny_run.path), "backbone": "vgg11"}, "none", "but model.backbone is vgg11"),
        ({"backbone": "resnet18"}, "trunk", "starts from random weights"),
    ]:
        config = settings(tiny.path, model=model, train__freeze=freeze, prune={"steps": 1})
        with pytest.raises(UserError, match=message):
            make_run(config, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_method_that_replaces_the_classifier_cannot_keep_the_final_exit(tiny, tiny_run):
    model = {"start": str(tiny_run.path), "exits": [1]}
    config = settings(
        tiny.path, model=model, train__freeze="backbone", method={"name": "domainindep"}
    )
    with pytest.raises(UserError, match=r"method 'domainindep' trains a classifier of its own"):
        build(config, tiny.task(None), 28)
    config = settings(tiny.path, model=model, train__freeze="backbone")
    with pytest.raises(UserError, match="does not fit these classes; freeze only the trunk"):
        build(config, TASK, 28)
