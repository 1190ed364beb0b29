"""Models on the Hub: what is uploaded, that it comes back whole, and every refusal in one line.

The Hub is a server of this machine; no test reaches the real one.
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, metadata_load

import fairexit
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError
from fairexit.hub.card import split_card, whole_card
from fairexit.hub.folder import SHARED
from fairexit.models import backbone_family
from fairexit.runs import Run, open_run


@pytest.fixture(scope="module")
def evaluated(tiny_run, tmp_path_factory):
    """A run with a policy and metrics; tests must not change it."""
    run = Run(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("evaluated") / "me"))
    fairexit.evaluate(run)
    return run


@pytest.fixture
def own(evaluated, tmp_path):
    """The same in a folder that a test may change."""
    return Run(shutil.copytree(evaluated.path, tmp_path / "me"))


@pytest.fixture
def pixels(tiny_run):
    data = open_prepared(tiny_run.config.data.path)
    return np.asarray(data.images[data.rows("test")[:12]])


def test_a_saved_model_is_the_same_model(evaluated, pixels, tmp_path, command):
    model = fairexit.load_model(evaluated.path)
    model.save_pretrained(tmp_path / "saved", license="cc-by-nc-4.0")
    assert {file.name for file in (tmp_path / "saved").iterdir()} == set(SHARED)
    again = fairexit.Classifier.from_pretrained(tmp_path / "saved")
    pd.testing.assert_frame_equal(again(pixels), model(pixels))
    assert again.policy == model.policy
    with pytest.raises(UserError, match="saved already exists"):
        model.save_pretrained(tmp_path / "saved")
    # A saved model is a run for every command, but for the data on which it was trained.
    status, _, error = command(
        "predict",
        tmp_path / "saved",
        "--data",
        evaluated.config.data.path,
        "--split",
        "test",
        "--out",
        tmp_path / "p",
    )
    assert status == 0, error


def test_only_what_is_shared_is_uploaded_and_it_comes_back(hub, own, pixels):
    (own.path / "photo.jpg").write_bytes(b"private")
    address = fairexit.load_model(own.path).push_to_hub(
        "user/model", private=True, commit_message="The first"
    )
    assert address == f"{hub.address}/user/model"
    assert set(hub.files["user/model"]) == set(SHARED)
    assert (hub.private, hub.messages) == ({"user/model": True}, ["The first"])
    hub.files["user/model"] |= {"evil.pkl": b"no", "../../evil.py": b"no", "sub/config.json": b"no"}
    model = fairexit.Classifier.from_pretrained("user/model")
    assert {file.name for file in model.run.path.iterdir()} == set(SHARED)
    pd.testing.assert_frame_equal(model(pixels), fairexit.load_model(own.path)(pixels))
    asked = len(hub.requests)
    fairexit.Classifier.from_pretrained("user/model", local_files_only=True)
    assert len(hub.requests) == asked
    # What was downloaded can be pushed on, as another name.
    model.push_to_hub("user/fork", license="mit")
    card = hub.files["user/fork"]["README.md"].decode()
    assert "from_pretrained('user/fork')" in card
    assert "user/model" not in card
    assert "The license of the weights is mit." in card
    assert "not stated" not in card


def test_nothing_uploaded_names_a_folder_of_this_machine(hub, own, tmp_path):
    fairexit.load_model(own.path).push_to_hub("user/model")
    files = hub.files["user/model"]
    settings = yaml.safe_load(files["config.yaml"])
    assert settings["data"]["path"] == Path(own.config.data.path).name
    for name in set(SHARED) - {"model.safetensors"}:
        assert str(tmp_path.parent).encode() not in files[name], name


def test_the_header_of_the_card_is_whole(evaluated, tmp_path):
    fairexit.load_model(evaluated.path).save_pretrained(tmp_path / "saved", license="mit")
    card = ModelCard.load(tmp_path / "saved" / "README.md")
    data = card.data
    assert (data.license, data.library_name) == ("mit", "fairexit")
    assert (data.pipeline_tag, data.datasets) == ("image-classification", ["synthetic"])
    assert {"fairexit", "fairness", "early-exit"} <= set(data.tags)
    assert data.base_model is None
    results = {result.metric_name: result for result in data.eval_results}
    stored = fairexit.evaluate(evaluated.path, store=False).evaluation.metrics
    assert results["Accuracy"].metric_value == pytest.approx(stored["accuracy"], abs=1e-4)
    assert results["Eodd by skin_tone"].metric_value == pytest.approx(stored["eodd"], abs=1e-4)
    assert results["F1"].dataset_split == "test"
    # The library's own round trip keeps every field.
    written = metadata_load(tmp_path / "saved" / "README.md")
    assert ModelCard(f"---\n{data.to_yaml()}\n---\n").data.to_dict() == data.to_dict()
    assert written["model-index"][0]["results"][0]["task"] == {"type": "image-classification"}


def test_a_license_is_never_made_up(evaluated):
    card = whole_card(None, evaluated, name="user/model", license=None)
    header, body = split_card(card)
    assert "license" not in header
    assert "The license of the weights is not stated." in body


def test_what_the_authors_have_written_stays(evaluated):
    text = (
        "---\nlicense: apache-2.0\ntags: [dermatology]\nbase_model: a/b\n"
        "model-index: [{name: x, results: []}]\n---\n# Ours\n\n## License\n\nAs we say.\n"
    )
    header, body = split_card(whole_card(text, evaluated, name="user/model", license=None))
    assert header["license"] == "apache-2.0"
    assert header["tags"] == ["dermatology", "fairexit", "fairness", "early-exit"]
    assert header["base_model"] == "a/b"
    assert header["model-index"] == [{"name": "x", "results": []}]
    assert "As we say." in body
    assert body.count("## License") == 1
    again, _ = split_card(whole_card(text, evaluated, name="user/model", license="mit"))
    assert again["license"] == "mit"
    with pytest.raises(UserError, match="the model card: its header must hold keys and values"):
        whole_card("---\n- a\n---\n", evaluated, name="x", license=None)


@pytest.mark.parametrize(
    ("backbone", "repository"),
    [
        ("resnet18", "timm/resnet18.tv_in1k"),
        ("resnet50", "timm/resnet50.tv2_in1k"),
        ("vgg16_bn", "timm/vgg16_bn.tv_in1k"),
        ("timm/test_vit", "timm/test_vit.r160_in1k"),
    ],
)
def test_the_base_model_is_where_the_pretrained_weights_are_published(backbone, repository):
    assert backbone_family(backbone).hub_id(backbone) == repository


def test_a_pretrained_run_names_its_base_model(own):
    settings = own.description["run"]["model"]
    for pretrained, expected in ((True, "timm/resnet18.tv_in1k"), ("w.pth", None), (False, None)):
        settings["pretrained"] = pretrained
        header, body = split_card(whole_card(None, own, name="user/model", license=None))
        assert header.get("base_model") == expected
        assert ("pretrained weights, whose terms apply too" in body) == bool(pretrained)


def test_a_run_is_pushed_with_a_card_of_its_audit(hub, own, command, monkeypatch):
    asked = []
    audit = fairexit.audit
    monkeypatch.setattr(
        "fairexit.api.sharing.audit",
        lambda path: asked.append(path) or audit(path, settings=quick_settings()),
    )
    status, printed, error = command("push", own.path, "user/model", "--license", "mit")
    assert status == 0, error
    assert printed == f"pushed: {hub.address}/user/model\n"
    assert asked == [own.path]
    assert hub.private == {"user/model": False}
    card = ModelCard(hub.files["user/model"]["README.md"].decode())
    assert "## Items of TRIPOD+AI (2024)" in card.text
    assert card.data.license == "mit"
    assert card.data.library_name == "fairexit"
    assert "fairness-audit" in card.data.tags
    assert {"Accuracy", "Eopp1 by skin_tone"} <= {r.metric_name for r in card.data.eval_results}
    # A card that lies in the run is not made again.
    (own.path / "README.md").write_text("# By hand\n")
    assert command("push", own.path, "user/model")[0] == 0
    assert "# By hand" in hub.files["user/model"]["README.md"].decode()
    assert len(asked) == 1


def quick_settings():
    from fairexit.auditing.settings import AuditSettings

    return AuditSettings(n_resamples=50, n_permutations=50)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model",), "'model' is not the name of a repository on the Hub; name it as in user/m"),
        (("a b/c",), "'a b/c' is not the name of a repository"),
        (("a/b/c",), "'a/b/c' is not the name of a repository"),
        (("../b",), "'../b' is not the name of a repository"),
        (("user/model", "--license", "My own"), "--license is 'My own'; give an identifier"),
        (("user/model", "--card", "no.md"), "--card is 'no.md', which is not a file"),
    ],
)
def test_what_is_refused_before_anything_is_asked(hub, evaluated, command, words, message):
    status, _, error = command("push", evaluated.path, *words)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
    assert hub.requests == []


def test_without_a_token_nothing_is_pushed(hub, evaluated, command, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    status, _, error = command("push", evaluated.path, "user/model")
    assert (status, error) == (
        2,
        "fairexit: there is no token for the Hub; log in with `hf auth login`, or set the "
        "environment variable HF_TOKEN\n",
    )
    assert hub.requests == []


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/repos/create", 401, "the Hub does not know the token; log in again"),
        ("/commit/", 403, "the token may not do this; choose a repository of your own"),
        ("/preupload/", 404, "there is no such model, or the token may not see it"),
        ("/api/repos/create", 500, "the Hub answers with status 500; try again later"),
    ],
)
def test_a_refused_push_is_one_line(hub, own, command, path, status, message):
    (own.path / "README.md").write_text("# A card\n")
    hub.refuses[path] = (status, None)
    code, _, error = command("push", own.path, "user/model")
    assert code == 2
    assert f"fairexit: user/model cannot be pushed: {message}" in error
    assert "Traceback" not in error


def test_a_hub_that_is_not_there_is_one_line(hub, own, command):
    (own.path / "README.md").write_text("# A card\n")
    hub.shutdown()
    hub.server_close()
    status, _, error = command("push", own.path, "user/model")
    assert status == 2
    assert "user/model cannot be pushed: " in error
    assert error.endswith("check the connection to the Hub\n")
    with pytest.raises(UserError, match="the Hub cannot be reached, and the cache does not have"):
        fairexit.Classifier.from_pretrained("user/model")


def test_what_cannot_be_loaded(hub, own, tmp_path):
    load = fairexit.Classifier.from_pretrained
    with pytest.raises(UserError, match="there is no folder runs/no, and the Hub's runs/no cannot"):
        load("runs/no")
    with pytest.raises(UserError, match=r"there is no folder .*/no"):
        load(tmp_path / "no")
    fairexit.load_model(own.path).push_to_hub("user/model")
    with pytest.raises(UserError, match="it has no such revision"):
        load("user/model", revision="v9")
    hub.refuses["/api/models/user/model"] = (403, "GatedRepo")
    with pytest.raises(UserError, match="its authors grant access; ask for it on its page"):
        load("user/model", cache_dir=tmp_path / "other")
    hub.refuses.clear()
    hub.files["user/other"] = {"pytorch_model.bin": b"pickle", "config.json": b"{}"}
    with pytest.raises(UserError, match=r"user/other is not a model of fairexit: it has no file m"):
        load("user/other")
    hub.files["user/model"]["model.safetensors"] = b"\x80\x04pickle"
    with pytest.raises(UserError, match=r"model\.safetensors does not fit its config\.json"):
        load("user/model", cache_dir=tmp_path / "third")


def test_a_file_from_elsewhere_is_never_uploaded(hub, own, tmp_path):
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    (own.path / "README.md").symlink_to(secret)
    model = fairexit.Classifier.from_pretrained(own.path)
    for share in (
        lambda: model.push_to_hub("user/model"),
        lambda: model.save_pretrained(tmp_path / "saved"),
        lambda: fairexit.push(own, "user/model"),
    ):
        with pytest.raises(UserError, match=r"README\.md is a link that leads out of the run's"):
            share()
    assert hub.files == {}
    assert not (tmp_path / "saved").exists()


def test_a_model_that_was_changed_is_not_shared_with_old_metrics(hub, own, tmp_path):
    model = fairexit.load_model(own.path)
    with torch.no_grad():
        next(model.net.parameters()).add_(1)
    message = "the network or policy was changed since it was loaded"
    with pytest.raises(UserError, match=message):
        model.push_to_hub("user/model")
    with pytest.raises(UserError, match=message):
        model.save_pretrained(tmp_path / "saved")
    assert hub.requests == []


def test_a_model_that_is_to_be_private_is_not_made_public(hub, own):
    model = fairexit.load_model(own.path)
    model.push_to_hub("user/model", private=False)
    uploaded = dict(hub.files["user/model"])
    with pytest.raises(UserError, match="user/model exists already and is public; make it private"):
        model.push_to_hub("user/model", private=True, license="mit")
    assert hub.files["user/model"] == uploaded
    model.push_to_hub("user/other", private=True)
    model.push_to_hub("user/other", private=True, license="mit")
    assert b"license: mit" in hub.files["user/other"]["README.md"]


def test_an_export_is_not_pushed(hub, staged):
    with pytest.raises(UserError, match="is an export; share the run that it is of"):
        fairexit.push(staged, "user/model")
    assert hub.requests == []


def test_a_run_without_a_policy_is_not_pushed(hub, own):
    own.policy.unlink()
    with pytest.raises(UserError, match="has no stored policy"):
        fairexit.push(own, "user/model")
    assert open_run(own.path).finished
    assert hub.requests == []
