"""Several seeds in one `fairexit train`: a folder for each, and finished ones are kept."""

import pytest

import fairexit
from fairexit.config_files import build_config, resolve_seeds
from fairexit.errors import UserError
from fairexit.training import fit
from trained import quick


def test_a_folder_for_each_seed(small, tmp_path, command, monkeypatch):
    file = tmp_path / "c.yaml"
    file.write_text(quick(small, epochs=1).to_yaml())
    out = tmp_path / "runs"
    status, printed, _ = command("train", file, "--out", out, "--seeds", "0,2")
    assert status == 0
    assert [line.split()[1] for line in printed.splitlines()] == [
        str(out / "seed0"), str(out / "seed2"),
    ]  # fmt: skip
    alone = fairexit.train(file, tmp_path / "alone", {"seed": 2})
    assert (out / "seed2" / "model.safetensors").read_bytes() == alone.weights.read_bytes()
    monkeypatch.setattr(fit, "Trainer", None)  # nothing is trained again
    runs = fairexit.train(file, out, {"seed": [2, 0]})
    assert [run.path.name for run in runs] == ["seed2", "seed0"]
    status, _, error = command("train", file, "--out", tmp_path / "alone", "--seeds", "2,3")
    assert status == 2
    assert "is a run itself; choose another --out for several seeds" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0,x"], "--seeds is '0,x'; give whole numbers such as 0,1,2"),
        (["--seeds", "1,1"], "--seeds is [1, 1]; give different seeds, as [0, 1, 2]"),
        (["--seeds", "-1,0"], "seed is -1; it must be a whole number of at least 0"),
        (["--set", "seed=[]"], "seed is []; give different seeds"),
        (
            ["--seeds", "0,1", "--set", "train.devices=2", "--set", "train.device=cpu"],
            "train.devices is 2, but several seeds need a single device",
        ),
    ],
)
def test_seeds_that_are_refused(small, tmp_path, command, words, message):
    file = tmp_path / "c.yaml"
    file.write_text(quick(small, epochs=1).to_yaml())
    status, _, error = command("train", file, "--out", tmp_path / "r", *words)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_a_list_of_seeds_belongs_to_train(small):
    with pytest.raises(UserError, match=r"seed is \[0, 1\]; .*several seeds are for `fairexit tr"):
        build_config(quick(small).to_dict() | {"seed": [0, 1]})
    assert resolve_seeds(quick(small)).seed == 0
