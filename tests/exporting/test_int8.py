"""Quantisation to 8 bits: calibrated on training images, and audited by group."""

import numpy as np
import pytest

import fairexit
from fairexit import runtime
from fairexit.errors import UserError
from fairexit.exporting import folder
from fairexit.exporting.group_loss import GroupChange, check_groups, group_changes
from fairexit.extras import is_installed
from fairexit.inference.inputs import open_data
from fairexit.predictions.files import read_predictions
from fairexit.runtime.model import to_input

if not is_installed("export"):
    pytest.skip("the extra 'export' is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def calibrated():
    """The images that the quantisation got."""
    return []


@pytest.fixture(scope="module")
def int8(judged, card, tmp_path_factory, calibrated):
    original = folder.quantise

    def spy(path, names, images):
        calibrated.append(images)
        original(path, names, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "quantise", spy)
        return fairexit.export(judged, tmp_path_factory.mktemp("int8") / "x", int8=True, card=card)


def test_8_bits_are_smaller_and_near(int8, exported, judged, calibrated):
    data = open_data(judged)
    expected = to_input(data.images[data.rows("train")])
    (images,) = calibrated
    assert len(images) == len(expected)
    np.testing.assert_array_equal(images, expected)
    sizes = [
        sum((path / name).stat().st_size for name in exported["staged"].manifest["graphs"])
        for path in (int8.path, exported["staged"].path)
    ]
    assert sizes[0] < 0.4 * sizes[1]
    pixels = np.asarray(data.images[data.rows("test")])
    ours, floats = (
        runtime.load(path, threads=1).probabilities(pixels)
        for path in (int8.path, exported["staged"].path)
    )
    assert 1e-5 < np.abs(ours - floats).max() < 0.1


def test_the_audit_by_group_travels_with_it(int8, judged):
    audit = int8.manifest["int8"]
    assert int8.manifest["precision"] == "int8"
    assert audit["calibration"] == {
        "split": "train",
        "images": len(open_data(judged).rows("train")),
    }
    assert audit["attribute"] == judged.description["group"]
    assert {c["measure"] for c in audit["changes"]} == {"accuracy", "recall"}
    assert "What 8 bits do to each group" in (int8.path / "README.md").read_text() or any(
        c["group"] in (int8.path / "README.md").read_text() for c in audit["changes"]
    )


def test_changes_equal_a_loop(judged):
    predictions = read_predictions(judged.predictions("test"))
    rng = np.random.default_rng(0)
    wrong = (predictions.labels + rng.integers(1, 5, len(predictions))) % 5
    before, after = (
        np.where(rng.random(len(predictions)) < share, wrong, predictions.labels)
        for share in (0.2, 0.5)
    )
    groups, names = predictions.group("skin_tone")
    changes = {
        (c.group, c.measure): c for c in group_changes(predictions, "skin_tone", before, after)
    }
    assert len(changes) == 2 * len(names)
    for m, name in enumerate(names):
        rows = groups == m
        labels = predictions.labels[rows]
        for answers, which in ((before, "before"), (after, "after")):
            hits = answers[rows] == labels
            assert getattr(changes[name, "accuracy"], which) == pytest.approx(hits.mean())
            present = {*labels.tolist(), *answers[rows].tolist()}
            recalls = [hits[labels == c].mean() if (labels == c).any() else 0 for c in present]
            assert getattr(changes[name, "recall"], which) == pytest.approx(np.mean(recalls))
        change = changes[name, "accuracy"]
        assert change.low <= change.difference <= change.high


@pytest.mark.parametrize(
    ("difference", "high", "outcome"),
    [
        (-0.02, -0.005, "refused"),
        (-0.02, 0.003, "warned"),
        (-0.004, -0.001, "warned"),
        (0.0, 0.0, ""),
    ],
)
def test_a_group_that_loses_is_refused_or_warned_of(difference, high, outcome):
    change = GroupChange("dark", "recall", 0.7, 0.7 + difference, difference - 0.01, high)
    if outcome == "refused":
        with pytest.raises(
            UserError, match=r"^8 bits cost a group more than 0\.01: recall of dark"
        ):
            check_groups([change])
    else:
        assert [f"8 bits may cost a group: {change}"] * bool(outcome) == check_groups([change])


def test_nothing_is_left_where_a_group_loses(judged, card, tmp_path, monkeypatch):
    lost = GroupChange("dark", "recall", 0.7, 0.6, -0.15, -0.05)
    monkeypatch.setattr(folder, "group_changes", lambda *_: [lost])
    monkeypatch.setattr(folder, "quantise", lambda *_: None)
    with pytest.raises(UserError, match=r"0\.7000 -> 0\.6000, -0\.1000"):
        fairexit.export(judged, tmp_path / "x", form="all-exits", int8=True, card=card)
    assert not [*tmp_path.iterdir()]
