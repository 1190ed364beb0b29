import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.cluster_index import cluster_index
from fairexit.data.splits import (
    partition,
    read_split_file,
    split_of_fold,
    stratified_folds,
    stratified_split,
)
from fairexit.errors import UserError


def frame(n=600, seed=0):
    rng = np.random.default_rng(seed)
    cluster = np.sort(rng.integers(0, n // 2, n))
    return pd.DataFrame(
        {
            "label": rng.choice(list("abc"), n, p=[0.7, 0.2, 0.1]),
            "sex": rng.choice(["f", "m"], n),
            "cluster": [f"c{k}" for k in cluster],
        }
    )


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=60),
    st.integers(0, 5),
)
def test_no_cluster_is_ever_divided(rows, seed):
    strata, clusters = (np.array(c, np.int64) for c in zip(*rows, strict=True))
    parts = partition(strata, clusters, (0.6, 0.2, 0.2), seed)
    for k in np.unique(clusters):
        assert len(set(parts[clusters == k])) == 1


def test_every_stratum_gets_its_share():
    data = frame().assign(cluster="")
    split = stratified_split(data, "sex", seed=3)
    for _, rows in split.groupby([data["label"], data["sex"]]):
        for name, share in [("train", 0.6), ("val", 0.2), ("test", 0.2)]:
            assert abs((rows == name).sum() - share * len(rows)) <= 1


def test_shares_hold_nearly_with_clusters():
    data = frame(2000)
    split = stratified_split(data, "sex", seed=0)
    for name, share in [("train", 0.6), ("val", 0.2), ("test", 0.2)]:
        assert (split == name).mean() == pytest.approx(share, abs=0.01)
    assert split.groupby(data["cluster"]).nunique().max() == 1


def test_the_seed_decides():
    data = frame()
    one, again = (stratified_split(data, "sex", seed=1) for _ in range(2))
    assert one.equals(again)
    assert not one.equals(stratified_split(data, "sex", seed=2))


def test_empty_clusters_are_their_own():
    index = cluster_index(pd.Series(["a", "", "a", ""]))
    assert index[0] == index[2]
    assert len(set(index)) == 3


def test_folds_are_equal_and_each_one_is_test_once():
    data = frame()
    folds = stratified_folds(data, "sex", 5, seed=0).to_numpy()
    assert np.bincount(folds).max() - np.bincount(folds).min() < 12
    tests = np.stack([split_of_fold(folds, k) == "test" for k in range(5)])
    assert (tests.sum(0) == 1).all()
    names = split_of_fold(folds, 4)
    assert set(names[folds == 0]) == {"val"}
    with pytest.raises(UserError, match="there is no fold 5; the data have the folds 0 to 4"):
        split_of_fold(folds, 5)
    with pytest.raises(UserError, match=r"^'folds' is 2; it must be at least 3"):
        stratified_folds(data, "sex", 2, seed=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,part\na,train\n", "needs a column of ids and a column 'split'"),
        ("image,split\na,train\nb,dev\n", "row 2: split 'dev' is not one of train, val, test"),
        ("image,split\na,train\na,test\n", "id 'a' occurs twice"),
        ("image,split\n", "has no rows"),
    ],
)
def test_bad_split_files(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_split_file(tmp_path / "s.csv")


def test_split_file_names_are_forgiving(tmp_path):
    (tmp_path / "s.csv").write_text("image,split\na,Train\nb,validation\nc,test\n")
    assert read_split_file(tmp_path / "s.csv").to_dict() == {"a": "train", "b": "val", "c": "test"}
