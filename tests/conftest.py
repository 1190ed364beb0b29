"""Small data and a small run that many tests share."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from clients import client, client_of, served  # noqa: F401
from exports import card, exported, judged, staged  # noqa: F401
from fairexit import cli
from fairexit.config_files import build_config
from fairexit.data.datasets import datasets
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.inference.predict import predict
from fairexit.training.fit import train
from fake_hub import hub  # noqa: F401
from skips import pytest_sessionfinish as pytest_sessionfinish
from skips import pytest_terminal_summary as pytest_terminal_summary

# A busy machine is no failure of what is tested.
hypothesis.settings.register_profile("without a deadline", deadline=None)
hypothesis.settings.load_profile("without a deadline")

SHARED = Path(__file__).parents[2] / "shared" / "data"


def settings(data, **changes):
    """A configuration that trains in seconds; keys like train__epochs change it."""
    tree = {
        "data": {"path": str(data), "augment": "released", "sampling": "sqrt"},
        "model": {"backbone": "resnet18", "exits": [1, 3]},
        "method": {"name": "erm"},
        "train": {"epochs": 2, "batch_size": 32, "lr": 0.02, "schedule": "cosine"},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            tree[section][name] = value
        else:
            tree[section] = value
    return build_config(tree)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A prepared synthetic dataset of 160 images of 28 px."""
    out = tmp_path_factory.mktemp("tiny") / "data"
    drawn = datasets.create("synthetic", images=160, seed=1, dark_share=0.4)
    return prepare("synthetic", drawn, None, out, options=PrepareOptions(size=28, workers=1))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A prepared synthetic dataset of 90 images of 32 px, the least that every backbone takes."""
    out = tmp_path_factory.mktemp("small") / "data"
    drawn = datasets.create("synthetic", images=90, seed=1, dark_share=0.4)
    return prepare("synthetic", drawn, None, out, options=PrepareOptions(size=32, workers=1))


@pytest.fixture(scope="session")
def tiny_run(tiny, tmp_path_factory):
    """A finished and predicted multi-exit run on it; tests must not change it."""
    run = train(settings(tiny.path), tmp_path_factory.mktemp("runs") / "me")
    predict(run)
    return run


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """The research images, unpacked; skips where they are not."""
    if not (SHARED / "unpack").exists():
        pytest.skip("the research images of ../shared/data are not here")
    out = tmp_path_factory.mktemp("real")
    subprocess.run([SHARED / "unpack", out], check=True, capture_output=True, timeout=300)
    return out


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command line; returns exit status, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["fairexit", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return run
