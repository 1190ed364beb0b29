"""Planted causes: what was asked for is there, and nothing else has changed."""

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2_contingency

import fairexit
from fairexit.data import plant as module
from fairexit.data.allotment import allot
from fairexit.data.causes import CAUSES, ORIGINAL, PlantOptions
from fairexit.data.marks import MARKS
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.data.splits import choose_clusters
from fairexit.errors import UserError

FILES = ("images.npy", "records.parquet", "dataset.json", "skipped.csv")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """1,500 drawn images of 8 px."""
    out = tmp_path_factory.mktemp("drawn") / "data"
    options = {"images": 1500, "dark_share": 0.4, "seed": 2}
    return fairexit.prepare("synthetic", out=out, options=options, size=8)


@pytest.fixture(scope="module")
def plant(drawn, tmp_path_factory):
    """A function that plants into them, once for equal options."""
    folder, made = tmp_path_factory.mktemp("planted"), {}

    def call(**options):
        key = json.dumps(options, sort_keys=True)
        if key not in made:
            made[key] = fairexit.plant(drawn, folder / str(len(made)), **options)
        return made[key]

    return call


def shares(data, attribute="camera", label="label"):
    """Number of images and share of the affected group, by split and class."""
    affected = data.frame[attribute] == data.info["planted"]["affected"]
    return affected.groupby([data.frame["split"], data.frame[label]]).agg(["size", "mean"])


def p_of_independence(data, attribute="camera"):
    test = data.frame[data.frame["split"] == "test"]
    counts = pd.crosstab(test["label"], test[attribute])
    return chi2_contingency(counts, correction=False).pvalue


def test_prevalence_follows_the_class_in_train_and_val_and_not_in_test(drawn, plant):
    data = plant(cause="prevalence", strength=0.9)
    assert data.attributes["camera"] == ("first", "second")
    assert data.task().group == "camera"
    assert data.info["planted"]["classes"] == ["melanoma", "vascular"]
    largest = int(drawn.frame.groupby("cluster").size().max())
    table = shares(data)
    for (split, label), (size, share) in table.iterrows():
        asked = 0.9 if label in ("melanoma", "vascular") else 0.1
        asked = 0.5 if split == "test" else asked
        assert abs(share - asked) * size <= largest / 2, (split, label)
        clusters = drawn.frame[(drawn.frame["split"] == split) & (drawn.frame["label"] == label)]
        low, high = binom.interval(0.99, clusters["cluster"].nunique(), asked)
        assert low <= share * clusters["cluster"].nunique() <= high
    assert p_of_independence(data) > 0.9
    train = data.frame[data.frame["split"] == "train"]
    crossed = pd.crosstab(train["label"], train["camera"])
    assert chi2_contingency(crossed).pvalue < 1e-20


def test_representation_leaves_a_twentieth_for_each_of_the_others(plant):
    data = plant(cause="representation")
    for (split, label), (size, share) in shares(data).iterrows():
        asked = 0.5 if split == "test" else 0.05 / 1.05
        assert abs(share - asked) * size <= 1.5, (split, label)
    assert len(data.frame) == 1500


@pytest.mark.parametrize("mark", ["contrast", "sharpness"])
def test_presentation_changes_half_of_every_split(plant, mark):
    data = plant(cause="presentation", mark=mark)
    assert shares(data)["mean"].between(0.4, 0.6).all()
    counts = data.info["planted"]["counts"]
    assert min(counts["edited"].values()) > 100
    assert sum(counts["relabelled"].values()) == 0


def test_annotation_is_wrong_in_one_group_of_train_and_val(plant):
    data = plant(cause="annotation", strength=0.4, relabel=("keratosis", "nevus"))
    frame = data.frame
    wrong = frame["label"] != frame[ORIGINAL]
    assert set(frame["label"][wrong]) == {"nevus"}
    assert set(frame[ORIGINAL][wrong]) == {"keratosis"}
    assert set(frame["camera"][wrong]) == {"second"}
    assert set(frame["split"][wrong]) == {"train", "val"}
    for split in ("train", "val"):
        rows = (frame["split"] == split) & (frame[ORIGINAL] == "keratosis")
        rows &= frame["camera"] == "second"
        assert wrong[rows].mean() == pytest.approx(0.4, abs=1.5 / rows.sum())
        assert wrong[rows].sum() == data.info["planted"]["counts"]["relabelled"][split]
    assert data.info["planted"]["relabel"] == {"true": "keratosis", "label": "nevus"}
    assert p_of_independence(data) > 0.9


@pytest.mark.parametrize("cause", CAUSES)
def test_the_rest_stays_and_the_originals_can_be_had_back(drawn, plant, cause):
    data = plant(cause=cause)
    frame, source = data.frame, drawn.frame
    for column in ("id", "cluster", "split", "skin_tone"):
        assert frame[column].equals(source[column])
    assert frame[ORIGINAL].tolist() == source["label"].tolist()
    assert frame.groupby("cluster")["camera"].nunique().max() == 1
    assert frame.groupby("cluster")["label"].nunique().max() == 1
    second = (frame["camera"] == "second").to_numpy()
    assert np.array_equal(data.images[~second], drawn.images[~second])
    recipe = data.info["planted"]
    for row in np.flatnonzero(second):
        slow = MARKS[recipe["mark"]](drawn.images[row], recipe["strength"])
        assert np.array_equal(data.images[row], slow)
    assert recipe["source"]["checksums"] == drawn.info["checksums"]
    assert sum(recipe["counts"]["edited"].values()) == second.sum()
    assert data.info["cells"]["test"]["second"]["nevus"] > 0
    assert data.info["warnings"][-1].startswith(f"{cause} was planted with strength")
    assert data.attributes["skin_tone"] == drawn.attributes["skin_tone"]
    open_prepared(data.path, whole=True)


@pytest.mark.parametrize("cause", CAUSES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_group(
    plant, cause, tmp_path, drawn
):
    data = plant(cause=cause)
    again = fairexit.plant(drawn.path, tmp_path / "again", cause=cause)
    for name in FILES:
        assert (data.path / name).read_bytes() == (again.path / name).read_bytes()
    other = plant(cause=cause, seed=1)
    assert (other.frame["camera"] != data.frame["camera"]).mean() > 0.05


def test_the_lowest_strength_plants_nothing(drawn, plant):
    control = plant(cause="prevalence", strength=0.5)
    assert shares(control)["mean"].between(0.4, 0.6).all()
    assert np.array_equal(plant(cause="presentation", strength=0).images, drawn.images)
    same = plant(cause="annotation", strength=0)
    assert same.frame["label"].tolist() == drawn.frame["label"].tolist()


def test_options_choose_the_mark_the_name_and_the_classes(drawn, plant):
    data = plant(cause="prevalence", mark="cast", name="device", classes=["nevus"], strength=0.9)
    assert data.task().group == "device"
    assert data.info["planted"]["gains"] == [0.625, 0.875, 1.0]
    table = shares(data, "device")["mean"]["train"]
    assert table["nevus"] == pytest.approx(0.9, abs=0.01)
    assert table["melanoma"] == pytest.approx(0.1, abs=0.01)
    row = int((data.frame["device"] == "second").to_numpy().argmax())
    assert np.array_equal(data.images[row], MARKS["cast"](drawn.images[row], 0.9))


def test_an_existing_group_lacks_images_and_test_is_balanced(drawn, plant):
    data = plant(cause="representation", group="skin_tone", affected="dark", strength=0.8)
    before = drawn.frame.groupby(["split", "skin_tone", "label"]).size()
    after = data.frame.groupby(["split", "skin_tone", "label"]).size()
    for split in ("train", "val"):
        assert after[split, "light"].equals(before[split, "light"])
        assert np.abs(after[split, "dark"] - 0.2 * before[split, "dark"]).max() <= 1.5
    assert np.abs(after["test", "dark"] - after["test", "light"]).max() <= 1
    assert data.attributes == drawn.attributes
    rows = drawn.frame.set_index("id").index.get_indexer(data.frame["id"])
    assert np.array_equal(data.images, drawn.images[rows])
    removed = len(drawn.frame) - len(data.frame)
    assert sum(data.info["skipped"].values()) == removed
    assert sum(data.info["planted"]["counts"]["left_out"].values()) == removed
    listed = pd.read_csv(data.path / "skipped.csv")
    assert set(listed["id"]) == set(drawn.frame["id"]) - set(data.frame["id"])
    assert set(listed["reason"]) == {"representation planted", "test split balanced"}
    clusters = data.frame.groupby("cluster").size()
    whole = drawn.frame.groupby("cluster").size()
    assert clusters.equals(whole[clusters.index])


def test_an_existing_group_loses_contrast_or_is_mislabelled(drawn, plant):
    data = plant(cause="presentation", group="skin_tone", affected="dark")
    rows = drawn.frame.set_index("id").index.get_indexer(data.frame["id"])
    dark = (data.frame["skin_tone"] == "dark").to_numpy()
    assert np.array_equal(data.images[~dark], drawn.images[rows][~dark])
    assert not np.array_equal(data.images[dark], drawn.images[rows][dark])
    data = plant(cause="annotation", group="skin_tone", affected="light")
    wrong = data.frame["label"] != data.frame[ORIGINAL]
    assert wrong.sum() > 50
    assert set(data.frame["skin_tone"][wrong]) == {"light"}
    assert data.info["planted"]["mark"] is None


def test_unknown_groups_and_clusters_of_two_groups_are_left_out(drawn):
    frame = drawn.frame.copy()
    sizes = frame["cluster"].map(frame["cluster"].value_counts())
    pair = frame.index[(sizes == 2) & (frame["split"] == "train")][:2]
    frame.loc[pair, "skin_tone"] = ["dark", "light"]
    single = frame.index[(sizes == 1) & (frame["split"] == "train")][:5]
    frame.loc[single, "skin_tone"] = None
    options = PlantOptions("presentation", group="skin_tone", affected="dark")
    planted = allot(replace(drawn, frame=frame), options)
    counts = planted.left_out.counts()
    assert counts["unknown skin_tone"] == 5
    assert counts["cluster of more than one skin_tone"] == 2
    assert not set(planted.frame.index) & {*pair, *single}


def test_an_interruption_and_a_full_disk_leave_nothing(drawn, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_description", stop)
    with pytest.raises(KeyboardInterrupt):
        fairexit.plant(drawn, tmp_path / "out", cause="prevalence")
    assert not [*tmp_path.iterdir()]

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_description", full)
    with pytest.raises(UserError, match=r"the disk of .* is full; nothing was written"):
        fairexit.plant(drawn, tmp_path / "out", cause="prevalence")
    assert not [*tmp_path.iterdir()]


def test_the_memory_does_not_grow_with_the_images(tmp_path):
    data = fairexit.prepare("synthetic", out=tmp_path / "d", size=64, options={"images": 800})
    fairexit.plant(data, tmp_path / "first", cause="presentation")  # imports are not counted
    tracemalloc.start()
    fairexit.plant(data, tmp_path / "second", cause="presentation")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < data.images.nbytes / 3


DARK = {"group": "skin_tone", "affected": "dark"}
WRONG = [
    ("prevalance", {}, "'cause' is 'prevalance'; did you mean 'prevalence'?"),
    (
        "prevalence",
        {"strength": 2},
        "'strength' is 2; for prevalence it must be at least 0.5 and below 1: the share",
    ),
    ("prevalence", {"strength": 1}, "'strength' is 1; for prevalence"),
    (
        "annotation",
        {"strength": float("nan")},
        "'strength' is nan; for annotation it must be at least 0 ",
    ),
    ("presentation", {"strength": -0.1}, "'strength' is -0.1; for presentation"),
    ("prevalence", {"strength": "much"}, "'strength' is 'much'; it must be a number"),
    (
        "prevalence",
        {"mark": "contrast"},
        "'mark' is 'contrast'; for prevalence choose grey or cast",
    ),
    (
        "presentation",
        {"mark": "grey"},
        "'mark' is 'grey'; for presentation choose contrast or sharpness",
    ),
    ("prevalence", {"seed": -1}, "'seed' is -1; it cannot be negative"),
    ("prevalence", {"group": "skin_tone"}, "prevalence draws a new group"),
    (
        "representation",
        {"group": "sex", "affected": "x"},
        "has no attribute 'sex'; available: skin_tone",
    ),
    (
        "representation",
        {"group": "skin_tone"},
        "'affected' is missing; choose a group of skin_tone: dark, light",
    ),
    (
        "annotation",
        {"group": "skin_tone", "affected": "drk"},
        "'affected' is 'drk'; choose a group of skin_tone",
    ),
    ("annotation", {"affected": "dark"}, "name the attribute with 'group'"),
    ("annotation", dict(**DARK, mark="grey"), "'mark' belongs to a new group"),
    ("annotation", dict(**DARK, name="x"), "'group' and 'name' exclude each other"),
    (
        "prevalence",
        {"name": "skin_tone"},
        "has a column 'skin_tone' already; use that attribute with 'group'",
    ),
    ("prevalence", {"name": "label"}, "'name' is 'label', which an attribute cannot be called"),
    ("prevalence", {"name": "original_label"}, "'name' is 'original_label', which"),
    ("prevalence", {"classes": ["nevs"]}, "has no images of class 'nevs'; did you mean 'nevus'?"),
    (
        "prevalence",
        {"classes": ["nevus", "melanoma", "keratosis", "vascular", "scar"]},
        "'classes' names every class",
    ),
    ("annotation", {"classes": ["nevus"]}, "'classes' applies only to prevalence"),
    ("prevalence", {"relabel": ("nevus", "scar")}, "'relabel' applies only to annotation"),
    (
        "annotation",
        {"relabel": ("nevus", "scr")},
        "has no images of class 'scr'; did you mean 'scar'?",
    ),
    ("annotation", {"relabel": ("scar", "scar")}, "'relabel' names 'scar' twice"),
    (
        "annotation",
        {"strength": 0.999},
        "(train|val) would have no image of class 'nevus' with camera 'second'; lower 'strength'",
    ),
    (
        "representation",
        {"strength": 0.999},
        "would have no image of class '.*' with camera 'second'",
    ),
    (
        "representation",
        dict(**DARK, strength=0.001),
        "'strength' is 0.001, which concerns no image",
    ),
    ("prevalence", {"strenth": 0.9}, "unknown option 'strenth'; did you mean 'strength'?"),
]


@pytest.mark.parametrize(("cause", "options", "message"), WRONG)
def test_wrong_options_are_one_line(drawn, tmp_path, cause, options, message):
    with pytest.raises(UserError, match=message) as error:
        fairexit.plant(drawn, tmp_path / "out", cause=cause, **options)
    assert "\n" not in str(error.value)
    assert not [*tmp_path.iterdir()]


def changed(data, **columns):
    return replace(data, frame=data.frame.assign(**columns))


def test_data_into_which_nothing_can_be_planted(drawn, plant, tmp_path):
    options = PlantOptions("prevalence")
    bare = changed(drawn, cluster="")
    with pytest.raises(UserError, match=r"has no clusters .*say so with 'independent_images'"):
        allot(bare, options)
    single = allot(bare, replace(options, independent_images=True))
    assert single.is_affected.sum() > 100
    with pytest.raises(UserError, match="clusters with images in more than one split, such as"):
        allot(changed(drawn, split=np.resize(["train", "val", "test"], 1500)), options)
    with pytest.raises(UserError, match="has no images in val; prepare it with all three"):
        allot(changed(drawn, split=drawn.frame["split"].replace("val", "train")), options)
    with pytest.raises(UserError, match="has images of one class only"):
        allot(changed(drawn, label="nevus"), options)
    with pytest.raises(UserError, match="is divided into folds"):
        allot(changed(drawn, fold=0), options)
    with pytest.raises(UserError, match="is planted already"):
        fairexit.plant(plant(cause="prevalence"), tmp_path / "twice", cause="prevalence")
    with pytest.raises(UserError, match="already exists; remove it or choose another 'out'"):
        fairexit.plant(drawn, drawn.path, cause="prevalence")
    with pytest.raises(UserError, match="fewer than two groups of skin_tone"):
        allot(
            changed(drawn, skin_tone="dark"),
            PlantOptions("annotation", group="skin_tone", affected="dark"),
        )
    # Two hospitals in test, each with mostly one class.
    test, nevus = drawn.frame["split"] == "test", drawn.frame["label"] == "nevus"
    hospital = (nevus ^ (np.arange(1500) % 7 == 0)).map({True: "a", False: "b"})
    two = changed(drawn, cluster=drawn.frame["cluster"].where(~test, hospital))
    with pytest.raises(UserError, match="test cannot be balanced by whole clusters"):
        allot(two, options)


def test_changed_source_images_are_noticed(drawn, tmp_path):
    copy = shutil.copytree(drawn.path, tmp_path / "copy")
    images = np.load(copy / "images.npy")
    images[0] = 255 - images[0]
    np.save(copy / "images.npy", images)
    with pytest.raises(UserError, match="has changed since it was prepared"):
        fairexit.plant(copy, tmp_path / "out", cause="prevalence")


@st.composite
def datasets(draw):
    """Prepared data of patients with one to five images, in two to four classes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes = [f"c{k}" for k in range(draw(st.integers(2, 4)))]
    count = draw(st.integers(40, 150))
    sizes = rng.integers(1, draw(st.integers(1, 5)) + 1, count)
    cluster = np.repeat(np.arange(count), sizes)
    split = rng.choice(["train", "val", "test"], count, p=[0.5, 0.2, 0.3])[cluster]
    label = rng.choice(classes, count)[cluster]
    if draw(st.booleans()):  # several lesions of a patient
        other = rng.random(len(cluster)) < 0.3
        label = np.where(other, rng.choice(classes, len(cluster)), label)
    empty = rng.random(count)[cluster] < draw(st.sampled_from([0.0, 0.3]))
    frame = pd.DataFrame(
        {
            "id": [f"i{k}" for k in range(len(cluster))],
            "label": label.astype(object),
            "site": rng.choice(["a", "b"], count)[cluster].astype(object),
            "cluster": np.where(empty, "", [f"p{k}" for k in cluster]).astype(object),
            "split": split.astype(object),
        }
    )
    info = {"name": "made", "classes": classes, "attributes": {"site": ["a", "b"]}}
    return Prepared(Path("made"), info, frame, np.zeros((len(frame), 1, 1, 3), np.uint8))


@settings(deadline=None, max_examples=50)
@given(
    datasets(), st.sampled_from([*CAUSES]), st.floats(0.5, 0.95), st.booleans(), st.integers(0, 9)
)
def test_of_any_data_clusters_stay_whole_and_test_is_clean(data, cause, strength, existing, seed):
    more = {"group": "site", "affected": "a"} if existing and cause != "prevalence" else {}
    try:
        planted = allot(data, PlantOptions(cause, strength, seed=seed, **more))
    except UserError:
        assume(False)
    frame, group = planted.frame, planted.attribute
    named = frame[frame["cluster"] != ""]
    assert named.groupby("cluster")[group].nunique().max() == 1
    assert (
        named.groupby("cluster")
        .size()
        .equals(data.frame.groupby("cluster").size()[named["cluster"].unique()].sort_index())
    )
    assert frame[ORIGINAL].equals(data.frame["label"][frame.index])
    test = frame[frame["split"] == "test"]
    assert test["label"].equals(test[ORIGINAL])
    counts = pd.crosstab(test["label"], test[group])
    assert chi2_contingency(counts, correction=False).pvalue > 0.2
    wrong = frame["label"] != frame[ORIGINAL]
    assert wrong.any() == (cause == "annotation")
    assert planted.is_affected[wrong].all()
    cells = pd.crosstab([frame["split"], frame["label"]], frame[group])
    if not more:
        assert (cells > 0).all(axis=None)
        assert len(frame) == len(data.frame)


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=80),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.integers(0, 99),
)
def test_single_images_are_chosen_within_half_an_image(strata, wanted, seed):
    strata, rng = np.array(strata), np.random.default_rng(seed)
    chosen = choose_clusters(strata, np.arange(len(strata)), np.array(wanted), rng)
    for k, share in enumerate(wanted):
        assert abs(chosen[strata == k].sum() - share * (strata == k).sum()) <= 0.5 + 1e-6


def test_clusters_of_every_size_are_chosen_alike():
    sizes = np.repeat([1, 2, 4], [400, 200, 100])
    clusters = np.repeat(np.arange(700), sizes)
    size = sizes[clusters]
    shares = np.zeros(3)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chosen = choose_clusters(np.zeros(1200, np.int64), clusters, np.array([0.05]), rng)
        assert len(np.unique(clusters[chosen])) == sum(chosen / size).round()
        shares += [chosen[size == s].mean() for s in (1, 2, 4)]
    assert shares / 20 == pytest.approx([0.05] * 3, abs=0.008)
