"""The datasets on small copies of their official files, and on the real ones where they are."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairexit.data.datasets import datasets
from fairexit.data.datasets.synthetic import CLASSES
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.errors import UserError


def isic(folder, rows):
    images = folder / "ISIC_2019_Training_Input"
    images.mkdir(parents=True)
    names = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    truth = [{"image": r[0], **{n: float(n == r[1]) for n in names}} for r in rows]
    meta = [
        dict(zip(("image", "age_approx", "lesion_id", "sex"), (r[0], *r[2:]), strict=True))
        for r in rows
    ]
    pd.DataFrame(truth).to_csv(folder / "ISIC_2019_Training_GroundTruth.csv", index=False)
    pd.DataFrame(meta).to_csv(folder / "ISIC_2019_Training_Metadata.csv", index=False)
    for r in rows:
        Image.new("RGB", (8, 8), (200, 100, 50)).save(images / f"{r[0]}.jpg")


def test_isic(tmp_path):
    rows = [
        ("ISIC_1", "MEL", 60, "L1", "female"),
        ("ISIC_2_downsampled", "NV", 55, None, "male"),
        ("ISIC_3", "NV", None, "L1", None),
    ]
    isic(tmp_path / "d", rows)
    listing = datasets.create("isic2019").read(tmp_path / "d")
    assert listing.classes == ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
    frame = listing.frame.set_index("id")
    assert frame["label"].tolist() == ["MEL", "NV", "NV"]
    assert frame["age_group"].tolist() == ["60 and over", "under 60", None]
    assert frame["age"].tolist() == ["60", "55", None]
    assert frame["cluster"].tolist() == ["L1", "", "L1"]
    assert frame["path"].map(bool).all()
    cut = datasets.create("isic2019", age_cut=50).read(tmp_path / "d")
    assert cut.attributes["age_group"] == ("under 50", "50 and over")
    with pytest.raises(UserError, match=r"^'age_cut' is 0; it must be between 1 and 89"):
        datasets.create("isic2019", age_cut=0)
    (tmp_path / "d" / "ISIC_2019_Training_Metadata.csv").unlink()
    with pytest.raises(UserError, match=r"has no ISIC_2019_Training_Metadata\.csv"):
        datasets.create("isic2019").read(tmp_path / "d")
    with pytest.raises(UserError, match="no folder"):
        datasets.create("isic2019").read(tmp_path / "nowhere")


def test_fitzpatrick(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "aa.jpg")
    table = pd.DataFrame(
        {
            "md5hash": ["aa", "bb", "cc"],
            "fitzpatrick_scale": [3, 4, -1],
            "label": ["acne", "lupus", "acne"],
            "nine_partition_label": ["inflammatory"] * 3,
            "three_partition_label": ["benign", "malignant", "benign"],
        }
    )
    table.to_csv(tmp_path / "fitzpatrick17k.csv", index=False)
    listing = datasets.create("fitzpatrick17k").read(tmp_path)
    assert listing.frame["skin_tone"].tolist() == ["light", "dark", None]
    assert listing.frame["skin_type"].tolist() == ["3", "4", None]
    assert [bool(path) for path in listing.frame["path"]] == [True, False, False]
    three = datasets.create("fitzpatrick17k", target="three_partition_label").read(tmp_path)
    assert three.classes == ("benign", "malignant")


def test_synthetic_is_seeded_and_does_not_depend_on_the_chunk():
    one, again = (datasets.create("synthetic", images=50, seed=3) for _ in range(2))
    rows = one.read(None).frame
    assert rows.equals(again.read(None).frame)
    whole = np.stack([image.pixels for image in one.pixels(rows, 20, "squash")])
    alone = np.stack(
        [again.pixels(rows.iloc[i : i + 1], 20, "squash")[0].pixels for i in range(50)]
    )
    assert np.array_equal(whole, alone)
    other = datasets.create("synthetic", images=50, seed=4)
    assert not other.read(None).frame.equals(rows)


def test_synthetic_bias_is_what_was_asked():
    frame = datasets.create("synthetic", images=6000, dark_share=0.3).read(None).frame
    dark = frame["skin_tone"] == "dark"
    assert dark.mean() == pytest.approx(0.3, abs=0.03)
    assert (frame[dark]["label"] == "melanoma").mean() == pytest.approx(0.2, abs=0.04)
    tilted = datasets.create("synthetic", images=3000, dark_share=0.3, shortcut=1.0).read(None)
    dark_labels = set(tilted.frame[tilted.frame["skin_tone"] == "dark"]["label"])
    assert dark_labels == set(CLASSES[2:])
    assert frame.groupby("cluster")["skin_tone"].nunique().max() == 1


def test_synthetic_dark_skin_is_harder():
    made = datasets.create("synthetic", noise=0.0)
    number = np.arange(200)
    kind = np.zeros(200, np.int64)
    spread = {}
    for tone in ("light", "dark"):
        images = made.draw(number, number, kind, np.full(200, tone, object), size=32).astype(float)
        skin = images[:, 0, 0].mean()
        spread[tone] = np.abs(images.mean(3) - images[:, :1, :1].mean(3)).mean() / skin
    assert spread["dark"] < 0.7 * spread["light"]


def test_synthetic_checks_its_options():
    with pytest.raises(UserError, match="option 'dark_share' is 2"):
        datasets.create("synthetic", dark_share=2)
    with pytest.raises(UserError, match="option 'images' is 5; it must be at least 30"):
        datasets.create("synthetic", images=5)


def test_the_real_isic(real_data, tmp_path):
    listing = datasets.create("isic2019").read(real_data / "isic2019")
    assert len(listing.frame) == 25299
    assert listing.frame["label"].value_counts()["DF"] == 239
    paper = PrepareOptions(size=8, split_file=real_data / "isic2019" / "paper_split.csv")
    source = real_data / "isic2019"
    data = prepare(
        "isic2019", datasets.create("isic2019"), source, tmp_path / "isic", options=paper
    )
    assert data.frame["split"].value_counts().to_dict() == {
        "train": 14878,
        "val": 4962,
        "test": 4968,
    }
    leak = data.info["leaks"]["train-test"]
    assert leak["share"] == pytest.approx(0.487, abs=0.001)
    assert any("MSK4_0010031" in line for line in data.info["warnings"])


def test_the_real_fitzpatrick(real_data, tmp_path):
    options = PrepareOptions(size=8, classes="present")
    source = real_data / "fitzpatrick17k"
    data = prepare(
        "fitzpatrick17k", datasets.create("fitzpatrick17k"), source, tmp_path / "f", options=options
    )
    assert len(data.classes) == 21
    skipped = pd.read_csv(tmp_path / "f" / "skipped.csv")
    assert len(skipped) + len(data.frame) == 16577
    assert data.info["skipped"]["unknown skin_tone"] == 565
