"""A search whose criterion no network has is refused before its folder is made."""

import pytest

from conftest import settings
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError
from fairexit.study.search import search
from fairexit.study.trials import parse_axis


@pytest.mark.parametrize(
    ("changes", "rule", "setting"),
    [
        ({"train__select": "eodd"}, "f1", r"train\.select"),
        ({}, "eopp1", "'rule'"),
        ({"model__exits": "none"}, "eodd", "'rule'"),
        ({}, "eodd", r"data\.group"),  # the choice of theta needs it too
        ({}, "accuracy", r"data\.group"),
        ({"model__exits": "none"}, "f1", r"data\.group"),
    ],
)
def test_an_undefined_criterion(tiny, tmp_path, monkeypatch, changes, rule, setting):
    monkeypatch.setattr(Prepared, "groups", lambda data, name: data.labels % 2)
    tree = settings(tiny.path, **changes).to_dict()
    with pytest.raises(UserError, match=f"is not defined on validation.* another {setting}$"):
        search(tree, [parse_axis("train.lr=0.01,0.02")], tmp_path / "t", trials=2, rule=rule)
    assert not (tmp_path / "t").exists()


def test_the_advice_works_in_the_same_folder(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Prepared, "groups", lambda data, name: data.labels % 2)
    changes = {"model__exits": "none", "train__epochs": 1}
    tree = settings(tiny.path, **changes).to_dict()
    axes, out = [parse_axis("train.lr=0.01,0.02")], tmp_path / "t"
    with pytest.raises(UserError, match="choose another 'rule'"):
        search(tree, axes, out, trials=1, rule="eodd")
    _, trials = search(tree, axes, out, trials=1, rule="accuracy")
    assert set(trials[0].values) == {"f1", "accuracy"}
