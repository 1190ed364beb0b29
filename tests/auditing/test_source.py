"""What is audited: runs, files, frames and arrays, and two models side by side."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn_predictions import change, draw, source
from fairexit.auditing.source import align, named_alike, open_source, same_partition
from fairexit.errors import UserError
from fairexit.evaluation.choice import Choice
from fairexit.predictions.files import write_predictions

words = st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=8)


@given(words, st.permutations(["a", "b", "c"]))
def test_renamed_clusters_are_the_same(clusters, names):
    new = dict(zip("abc", names, strict=True)) | {"": ""}
    one = np.array(clusters)
    assert same_partition(one, np.array([new[c] for c in clusters]))


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from("xy")), min_size=1))
def test_same_partition_is_its_slow_twin(pairs):
    one, two = (np.array(column) for column in zip(*pairs, strict=True))

    def together(clusters, i, j):
        return i == j or (clusters[i] != "" and clusters[i] == clusters[j])

    places = range(len(pairs))
    expected = all(together(one, i, j) == together(two, i, j) for i in places for j in places)
    assert same_partition(one, two) == expected


def test_rows_and_classes_are_put_in_order():
    mine = source(n=50)
    p = mine.predictions
    order = np.random.default_rng(0).permutation(50)
    shuffled = replace(
        p,
        ids=p.ids[order],
        clusters=np.array([f"other {c}" for c in p.clusters[order]]),
        split=p.split[order],
        labels=2 - p.labels[order],
        attributes={},
        group_names={},
        classes=p.classes[::-1],
        probabilities=np.ascontiguousarray(p.probabilities[order][:, :, ::-1]),
    )
    found = align(replace(mine, predictions=shuffled), mine).predictions
    np.testing.assert_array_equal(found.probabilities, p.probabilities)
    assert found.attributes is p.attributes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": np.array([f"x{i}" for i in range(20)])}, "not measured on the same samples: 40"),
        ({"labels": np.zeros(20, int)}, "have different labels for it"),
        ({"clusters": np.full(20, "")}, "different clusters for the same samples"),
        ({"classes": ("mel", "nev", "scc")}, "have different classes: only one has 'bcc'"),
    ],
)
def test_two_models_that_do_not_fit(changes, message):
    mine = source(n=20)
    with pytest.raises(UserError, match=message) as error:
        align(change(replace(mine, name="other"), **changes), mine)
    assert "\n" not in str(error.value)


def test_a_file_of_two_splits(tmp_path):
    both = {}
    for split, seed in (("val", 1), ("test", 2)):
        both[split] = draw(n=60, split=split, seed=seed, exits=2)
    joined = replace(
        both["val"],
        **{
            name: np.concatenate([getattr(both[s], name) for s in both])
            for name in ("ids", "clusters", "split", "labels", "probabilities")
        },
        attributes={
            name: np.concatenate([both[s].attributes[name] for s in both])
            for name in both["val"].attributes
        },
    )
    write_predictions(joined, tmp_path / "p.parquet")
    found = open_source(tmp_path / "p.parquet", ["sex"])
    assert found.policy.split == "val"
    assert len(found.predictions) == len(found.validation) == 60
    assert (found.name, found.cluster_name) == ("p", "cluster")
    assert open_source(tmp_path / "p.parquet", split="val", choice=Choice(0.9)).validation is None
    with pytest.raises(
        UserError,
        match="the threshold is chosen for a sensitive attribute; name its column with 'groups'",
    ):
        open_source(tmp_path / "p.parquet")


def test_a_run_brings_its_policy_group_costs_and_data(tiny_run, tiny, tmp_path):
    found = open_source(tiny_run.path, choice=Choice("auto"))
    assert found.group == "skin_tone"
    assert found.policy.split == "val"
    assert found.relative_costs[-1] == 1
    assert (np.diff(found.relative_costs) > 0).all()
    assert found.cost_reason == ""
    assert found.dataset["leaks"] == tiny.info["leaks"]
    assert (found.validation.split == "val").all()


def test_a_run_of_an_older_version_says_why_there_is_no_cost(tiny_run, tmp_path):
    import json
    import shutil

    shutil.copytree(tiny_run.path, tmp_path / "run")
    described = json.loads((tmp_path / "run" / "config.json").read_text())
    del described["exit_costs"]
    described["data"]["checksums"] = {}
    (tmp_path / "run" / "config.json").write_text(json.dumps(described))
    found = open_source(tmp_path / "run", choice=Choice(0.5))
    assert found.costs is None
    assert "did not store what its exits cost" in found.cost_reason
    assert found.dataset == {}


def test_names_of_other_tables_are_those_of_the_first():
    here, other = source(n=60), source(n=60, seed=1)
    p = other.predictions
    renamed = replace(
        other,
        predictions=replace(
            p,
            classes=tuple(name.upper() for name in p.classes),
            group_names=p.group_names | {"sex": ("F", "M")},
        ),
    )
    alike = named_alike(renamed, here).predictions
    assert alike.classes == here.predictions.classes
    assert alike.group_names["sex"] == here.predictions.group_names["sex"]
    assert "class 'MEL' is read as 'mel'" in alike.notes
    assert named_alike(other, here) is other
    twice = replace(renamed, predictions=replace(p, classes=("mel", "MEL", "x")))
    with pytest.raises(UserError, match="two names of class both mean 'mel'"):
        named_alike(twice, here)
