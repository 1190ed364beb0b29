"""The data card and its Croissant form, which mlcroissant validates and reads."""

import hashlib
import json

import mlcroissant
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fairexit
from fairexit.documentation.croissant import croissant
from fairexit.documentation.data_card import data_card


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A table of 60 drawn images of 30 patients, with unknown values and a blank in a name."""
    folder = tmp_path_factory.mktemp("source")
    random = np.random.default_rng(0)
    rows = []
    for i in range(60):
        pixels = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"a{i}.png")
        rows.append(
            {
                "image": f"a{i}",
                "dx": ["mel", "nv"][i % 2],
                "sex": ["f", "m", "", "f", "m"][i % 5],
                "age group": "" if i % 7 == 0 else ["old", "young"][i // 2 % 2],
                "patient": f"p{i // 2}",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder


def prepared(source, out, **how):
    options = {"id": "image", "label": "dx", "group": ["sex", "age group"], "cluster": "patient"}
    options["images"] = source
    return fairexit.prepare("table", source / "t.csv", out=out, options=options, size=12, **how)


@pytest.fixture(scope="module", params=["splits", "folds", "planted"])
def data(request, source, tmp_path_factory):
    """Prepared data of each form."""
    out = tmp_path_factory.mktemp(request.param) / "data"
    if request.param == "folds":
        return prepared(source, out, folds=3, unknown="keep")
    plain = prepared(source, out)
    if request.param == "splits":
        return plain
    return fairexit.plant(plain, out.with_name("planted"), cause="annotation")


def opened(data, description, folder):
    """A description beside copies of the data's files, opened by mlcroissant."""
    for name in ("records.parquet", "images.npy"):
        if not (folder / name).exists():
            (folder / name).symlink_to(data.path / name)
    (folder / "croissant.json").write_text(json.dumps(description))
    return mlcroissant.Dataset(jsonld=folder / "croissant.json")


def test_mlcroissant_validates_the_description_and_reads_the_records(data, tmp_path):
    description = croissant(data)
    dataset = opened(data, description, tmp_path)
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    # The record states no version, date, citation or licence, and none is made up.
    assert all("is recommended, but does not exist" in line for line in issues.warnings)
    read = [
        {key.partition("/")[2]: value for key, value in row.items()}
        for row in dataset.records("records")
    ]
    for column in ("id", "label", "cluster"):
        assert [row[column].decode() for row in read] == data.frame[column].to_list()
    unknown = [row["age-20-group"] is None for row in read]
    assert unknown == data.frame["age group"].isna().to_list()
    assert any(unknown)
    if "fold" in data.frame:
        assert [row["fold"] for row in read] == data.frame["fold"].to_list()
    else:
        assert [row["split"].decode() for row in read] == data.frame["split"].to_list()


def test_the_responsible_part_states_what_the_record_knows(data, tmp_path):
    metadata = opened(data, croissant(data), tmp_path).metadata
    assert metadata.conforms_to == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert "sex: f, m" in metadata.personal_sensitive_information
    assert "Unknown age group: " in metadata.data_collection_missing_data
    assert any("Groups of sex" in line for line in metadata.data_biases)
    assert any("12 x 12 pixels" in line for line in metadata.data_preprocessing_protocol)
    planted = [line for line in metadata.data_biases if "was planted" in line]
    assert bool(planted) == ("planted" in data.info)


def test_mlcroissant_would_notice_an_error(data, tmp_path):
    description = croissant(data)
    del description["distribution"][0]["encodingFormat"]
    with pytest.raises(mlcroissant.ValidationError, match="encodingFormat"):
        opened(data, description, tmp_path)


def test_the_checksums_are_those_of_the_files(data):
    files = {f["name"]: f for f in croissant(data)["distribution"]}
    for name, file in files.items():
        content = (data.path / name).read_bytes()
        assert file["contentSize"] == f"{len(content)} B"
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_card_counts_what_is_unknown_left_out_and_planted(data):
    fold = 0 if "fold" in data.frame else None
    text = data_card(data, fold)
    unknown = int(data.frame["age group"].isna().sum())
    assert f"- Unknown age group: {unknown} of {len(data.frame)} images" in text
    if "fold" in data.frame:
        assert f"- Unknown sex: {int(data.frame['sex'].isna().sum())} of 60 images" in text
        assert "- No row was left out when the data were prepared." in text
        assert "| sex | 4 (" in text
    else:
        assert "- Left out because sex is unknown: 12 rows." in text
        assert "| unknown sex | mel 6, nv 6 | 12 |" in text
    assert ("## Planted cause" in text) == ("planted" in data.info)
    assert "- Licence: not stated." in text
    mixed = data.frame.dropna(subset=["sex"]).groupby("cluster")["sex"].nunique().gt(1).sum()
    assert f"- {mixed} clusters have images of more than one sex." in text
    assert "p0" not in text


def test_the_splits_of_the_card_are_those_of_the_run(data):
    fold = 0 if "fold" in data.frame else None
    text = data_card(data, fold)
    for split in ("train", "val", "test"):
        rows = data.rows(split, fold)
        clusters = len(set(data.clusters[rows]))
        share = f"{100 * len(rows) / len(data.frame):.1f} %"
        assert f"| {split} | {len(rows)} | {share} | {clusters} |" in text


def test_leaks_and_empty_cells_are_named(source, tmp_path):
    table = pd.read_csv(source / "t.csv", keep_default_na=False)
    table["split"] = ["train", "test", "val"] * 20
    table.loc[(table["dx"] == "mel") & (table["split"] == "test"), "sex"] = "f"
    table.to_csv(source / "leaky.csv", index=False)
    table.rename(columns={"image": "id"})[["id", "split"]].to_csv(tmp_path / "s.csv", index=False)
    options = {"id": "image", "label": "dx", "group": ["sex"], "cluster": "patient"}
    data = fairexit.prepare(
        "table",
        source / "leaky.csv",
        out=tmp_path / "data",
        options={**options, "images": source},
        size=12,
        split_file=tmp_path / "s.csv",
    )
    text = data_card(data)
    shared = data.info["leaks"]["train-test"]["clusters"]
    assert shared
    assert f"- Shared by train and test: clusters {shared}, " in text
    assert "- No image in test of: mel (m)." in text
    limits = croissant(data)["rai:dataLimitations"]
    assert any(line.startswith("Shared by train and test: ") for line in limits)
