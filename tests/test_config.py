import pytest

from fairexit.config_files import build_config, load_config, parse_changes
from fairexit.errors import UserError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("data: {path: x}\ntrain: {lr: 1e-2, epochs: 3}\n", encoding="utf-8-sig")
    return path


def test_defaults_changes_and_round_trip(file, tmp_path):
    config = load_config(file, ["train.epochs=7", "model.exits=[1, 2]", "method.name=erm"])
    assert (config.train.epochs, config.train.lr) == (7, 0.01)
    assert config.model.exits == [1, 2]
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "again.yaml") == config


def test_prune_is_optional_and_survives(file, tmp_path):
    assert load_config(file).prune is None
    config = load_config(file, ["prune.ratio=[0.4, 0.2]", "prune.layers=[heads]"])
    assert (config.prune.ratios, config.prune.betas) == ([0.2, 0.4], [0.33])
    assert config.prune.sweeps
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "again.yaml") == config


def test_false_is_false(file):
    assert load_config(file, ["model.pretrained=False"]).model.pretrained is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.epoch=3", r"unknown key 'train\.epoch'; did you mean 'epochs'\?"),
        ("trian.epochs=3", "unknown key 'trian'; did you mean 'train'"),
        ("train.epochs=many", r"train\.epochs is 'many'; it must be a whole number"),
        ("train.epochs=0", r"train\.epochs is 0; it must be positive"),
        ("train.momentum=-1", r"train\.momentum is -1\.0; it cannot be negative"),
        ("train.select=best", r"train\.select is 'best', which is no metric; available: accuracy"),
        ("data.path.x=3", "'path' is not a section"),
        ("train.epochs", "write it as KEY=VALUE"),
        ("train.epochs=[", "train.epochs=.: it is not valid YAML"),
        ("seed=1.5", "seed is 1.5; it must be a whole number"),
        ("seed=-1", "seed is -1; it must be a whole number of at least 0"),
        ("train.epochs=true", r"train\.epochs is true; it cannot be true or false"),
        ("train.lr=.nan", r"train\.lr is nan; it must be positive"),
        ("train.exit_weights=0.1,0.2", r"'0.1,0.2'; write a list in brackets, \[0.1,0.2\]"),
        ("model.exits=2, 4", r"model\.exits is '2, 4'; write a list in brackets, \[2, 4\]"),
        ("train.milestones=5,9", r"'5,9'; write a list in brackets, \[5,9\]"),
        ("train.exit_weights=papre", "it must be 'paper' or 'equal'"),
        ("train.warmup=101", r"train\.warmup is 101.* epochs, but train\.epochs is 3"),
        ("train.clip=0", r"train\.clip is 0\.0; it must be positive"),
        ("method.name=5", "method needs a name"),
        ("method=erm", "method needs a name"),
        ("method.nam=mfd", "method needs a name, .*; its keys are: nam"),
        ("data=3", "data must be a section with keys"),
        ("prune=3", "prune must be a section with keys"),
        ("prune.ratoi=0.2", r"unknown key 'prune\.ratoi'; did you mean 'ratio'"),
        ("prune.ratio=1.2", r"prune\.ratio is 1\.2; it must be from 0 to below 1"),
        ("prune.ratio=[0.2, 1.2]", r"prune\.ratio is 1\.2; it must be from 0 to below 1"),
        ("prune.ratio=[]", r"prune\.ratio is empty"),
        ("prune.beta=-0.1", r"prune\.beta is -0\.1; it must be 0 or more, and finite"),
        ("prune.beta=.nan", r"prune\.beta is nan; it must be 0 or more, and finite"),
        ("prune.steps=0", r"prune\.steps is 0; it must be positive"),
        ("prune.steps=256", r"prune\.steps is 256; it must be at most 255"),
        ("prune.tolerance=-1", r"prune\.tolerance is -1\.0; it cannot be negative"),
        ("prune.finetune_lr=0", r"prune\.finetune_lr is 0\.0; it must be positive"),
        ("prune={beta: [0, 1], stop: false}", "prune.stop is false, but validation must choose"),
    ],
)
def test_bad_changes(file, change, message):
    with pytest.raises(UserError, match=message):
        load_config(file, [change])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML"),
        ("3", "must hold keys"),
        ("seed: 1\nseed: 2", "two entries of the section at line 1 are called 'seed'"),
        ("train: {}", r"data\.path is missing"),
    ],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="no file"):
        load_config(tmp_path / "absent.yaml")


def test_every_shipped_config_is_valid():
    from pathlib import Path

    files = sorted(Path(__file__).parents[1].glob("configs/*.yaml"))
    assert files
    for file in files:
        load_config(file)


def test_parse_changes():
    assert parse_changes(["a=0.5", "b.c=[1]"]) == {"a": 0.5, "b": {"c": [1]}}
    assert build_config({"data": {"path": "x"}}).method == {"name": "erm"}
