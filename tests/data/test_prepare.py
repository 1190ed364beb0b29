import errno
import gzip
import io
import json
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairexit.data import prepare as module
from fairexit.data import store
from fairexit.data.datasets import datasets
from fairexit.data.leaks import merge_clusters
from fairexit.data.matching import find_images
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.data.prepared import open_prepared
from fairexit.data.records import read_table
from fairexit.errors import UserError


def write_images(folder, names, seed=0):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        pixels = np.asarray(
            Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize((24, 24))
        )
        Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def clinic(tmp_path):
    """A CSV of 40 patients with two images each, and the images, as a user has them."""
    rows = [
        {
            "img_id": f"PAT_{i}_{k}.png",
            "patient_id": f"P{i}",
            "diagnostic": "MEL" if i % 4 == 0 else "NEV",
            "gender": "FEMALE" if i % 2 else "MALE",
        }
        for i in range(40)
        for k in range(2)
    ]
    write_images(tmp_path / "imgs", [row["img_id"] for row in rows])
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path


def table(folder, out="out", options=None, **columns):
    wanted = {
        "id": "img_id",
        "label": "diagnostic",
        "group": ["gender"],
        "cluster": "patient_id",
        "images": folder / "imgs",
        **columns,
    }
    source = folder / "metadata.csv"
    options = options or PrepareOptions(size=16, workers=1)
    return prepare(
        "table", datasets.create("table", **wanted), source, folder / out, options=options
    )


def change(folder, edit):
    frame = pd.read_csv(folder / "metadata.csv", dtype=str)
    edit(frame).to_csv(folder / "metadata.csv", index=False)


def test_a_users_table(clinic):
    data = table(clinic)
    assert data.classes == ("MEL", "NEV")
    assert data.attributes == {"gender": ("FEMALE", "MALE")}
    assert len(data.frame) == len(data.images) == 80
    assert data.frame.groupby("cluster")["split"].nunique().max() == 1
    stored = np.asarray(Image.open(clinic / "imgs" / data.frame["id"][5]).resize((16, 16), 2))
    assert np.array_equal(data.images[5], stored)
    assert data.info["leaks"]["train-test"]["clusters"] == 0


def test_ids_without_ending_subfolders_and_other_formats(clinic):
    change(clinic, lambda f: f.assign(img_id=f["img_id"].str.removesuffix(".png")))
    (clinic / "imgs" / "part_2").mkdir()
    (clinic / "imgs" / "PAT_3_1.png").rename(clinic / "imgs" / "part_2" / "PAT_3_1.png")
    frame = pd.read_csv(clinic / "metadata.csv")
    frame.to_csv(clinic / "metadata.tsv", index=False, sep="\t", encoding="utf-8-sig")
    frame.to_parquet(clinic / "metadata.parquet")
    wanted = {"id": "img_id", "label": "diagnostic", "group": ["gender"], "images": clinic / "imgs"}
    for suffix in ("csv", "tsv", "parquet"):
        built = datasets.create("table", **wanted)
        source, out = clinic / f"metadata.{suffix}", clinic / suffix
        data = prepare("table", built, source, out, options=PrepareOptions(size=16, workers=1))
        assert len(data.frame) == 80


def test_the_same_input_gives_the_same_bytes(clinic):
    one = table(clinic, "one")
    two = table(clinic, "two", PrepareOptions(size=16, workers=2))
    for name in ("images.npy", "records.parquet", "dataset.json", "skipped.csv"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


def test_another_writer_of_the_records_changes_no_checksum(clinic, monkeypatch):
    one = table(clinic, "one")
    write = pd.DataFrame.to_parquet
    monkeypatch.setattr(
        pd.DataFrame,
        "to_parquet",
        lambda *args, **options: write(*args, **options, compression="gzip"),
    )
    two = table(clinic, "two")
    assert (one.path / "records.parquet").read_bytes() != (
        two.path / "records.parquet"
    ).read_bytes()
    assert one.info["checksums"] == two.info["checksums"]
    change(clinic, lambda f: f.assign(patient_id=f["patient_id"].replace(f["patient_id"][0], "z")))
    assert one.info["checksums"] != table(clinic, "three").info["checksums"]


def test_what_is_left_out_is_listed(clinic):
    (clinic / "imgs" / "PAT_1_0.png").unlink()
    (clinic / "imgs" / "PAT_2_0.png").write_bytes(b"")

    def edit(frame):
        frame.loc[6, "gender"] = "unknown"
        frame.loc[8, "gender"] = None
        frame.loc[10, "diagnostic"] = None
        return frame

    change(clinic, edit)
    data = table(clinic)
    skipped = pd.read_csv(data.path / "skipped.csv").set_index("id")["reason"].to_dict()
    assert skipped == {
        "PAT_1_0.png": "missing file",
        "PAT_2_0.png": "unreadable image: the file is empty",
        "PAT_3_0.png": "unknown gender",
        "PAT_4_0.png": "unknown gender",
        "PAT_5_0.png": "no label",
    }
    assert len(data.frame) == len(data.images) == 75
    assert data.images.shape == (75, 16, 16, 3)
    assert data.info["skipped"] == {
        "no label": 1,
        "unknown gender": 2,
        "missing file": 1,
        "unreadable image": 1,
    }


def test_unknown_kept_or_counted_in(clinic):
    change(clinic, lambda f: f.assign(gender=f["gender"].where(f.index > 3)))
    kept = table(clinic, "kept", PrepareOptions(size=16, workers=1, unknown="keep"))
    assert (kept.groups("gender") == -1).sum() == 4
    counted = table(clinic, "counted", PrepareOptions(size=16, workers=1, unknown="MALE"))
    assert (counted.groups("gender") == -1).sum() == 0
    assert set(counted.frame["gender"][:4]) == {"MALE"}
    with pytest.raises(
        UserError, match=r"^'unknown' is 'dark'; choose drop, keep or a group of gender: FEMALE"
    ):
        table(clinic, "x", PrepareOptions(size=16, workers=1, unknown="dark"))


def test_split_file_and_its_leaks(clinic, monkeypatch):
    ids = pd.read_csv(clinic / "metadata.csv")["img_id"]
    names = np.resize(["train", "test", "val"], 60)
    pd.DataFrame({"image": ids[:60], "split": names}).to_csv(clinic / "s.csv", index=False)
    options = PrepareOptions(size=16, workers=1, split_file=clinic / "s.csv")
    data = table(clinic, options=options)
    assert data.info["skipped"] == {"not in the split file": 20}
    leak = data.info["leaks"]["train-test"]
    split = data.frame.set_index("id")["split"]
    train, test = (
        {i.rsplit("_", 1)[0] for i in split[split == s].index} for s in ("train", "test")
    )
    assert leak["clusters"] == len(train & test) > 0
    pd.DataFrame({"image": ids[:60], "split": "train"}).to_csv(clinic / "s.csv", index=False)
    monkeypatch.setattr("fairexit.data.prepare.store_images", None)  # refused before it decodes
    with pytest.raises(UserError, match="split 'val' has no images"):
        table(clinic, "x", options)
    assert not (clinic / "x").exists()


def test_folds(clinic):
    data = table(clinic, options=PrepareOptions(size=16, workers=1, folds=4))
    assert sorted(data.frame["fold"].unique()) == [0, 1, 2, 3]
    assert data.frame.groupby("cluster")["fold"].nunique().max() == 1
    assert len(data.info["leaks"]) == 6
    assert all(leak["clusters"] == 0 for leak in data.info["leaks"].values())
    every = np.concatenate([data.rows("test", k) for k in range(4)])
    assert sorted(every) == list(range(80))
    with pytest.raises(
        UserError, match=r"divided into folds; choose the test fold with data\.fold"
    ):
        data.rows("test")


def test_identical_images_leak_and_can_be_merged(clinic):
    content = (clinic / "imgs" / "PAT_0_0.png").read_bytes()
    for i in range(1, 30):
        (clinic / "imgs" / f"PAT_{i}_0.png").write_bytes(content)
    found = table(clinic, "plain").info["leaks"]["train-test"]
    assert found["images_identical"] == found["images_near_duplicate"] > 0
    options = PrepareOptions(size=16, workers=1, merge_near_duplicates=True)
    merged = table(clinic, "merged", options)
    assert merged.info["leaks"]["train-test"]["images_identical"] == 0
    same = merged.frame["id"].isin([f"PAT_{i}_0.png" for i in range(30)])
    assert merged.frame["cluster"][same].nunique() == 1


def test_merging_joins_whole_clusters():
    clusters = pd.Series(["a", "a", "b", "", "", "c"])
    merged = merge_clusters(clusters, pd.Series(list("uvwxyz")), [(1, 2), (3, 4)])
    assert merged.tolist() == ["a", "a", "a", "x", "x", "c"]


def test_killed_half_way_leaves_nothing_finished(clinic, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "near_pairs", stop)
    with pytest.raises(KeyboardInterrupt):
        table(clinic)
    assert not (clinic / "out").exists()
    assert not [*clinic.glob(".out*partial")]


def test_a_folder_that_is_not_ours_is_kept(clinic):
    (clinic / "out.partial").mkdir()
    (clinic / "out.partial" / "mine.txt").write_text("mine")
    table(clinic)
    assert (clinic / "out.partial" / "mine.txt").read_text() == "mine"


def test_two_columns_of_one_name(clinic):
    file = clinic / "metadata.csv"
    file.write_text(file.read_text().replace("patient_id", "gender", 1))
    with pytest.raises(UserError, match=r"metadata\.csv: two columns are called 'gender'"):
        table(clinic, cluster=None)


def test_a_full_disk_is_one_line(clinic, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "header", full)
    with pytest.raises(UserError, match="is full; nothing was written"):
        table(clinic)
    assert not [*clinic.glob(".out*partial")]


KILLED_WORKER = """
import os, signal
from fairexit.data.datasets.synthetic import Synthetic

class Deadly(Synthetic):
    def pixels(self, *_, **__):
        os.kill({victim}, signal.SIGKILL)

if __name__ == "__main__":
    from pathlib import Path
    from fairexit.data.prepare import PrepareOptions, prepare
    prepare("synthetic", Deadly(images=400), None, Path("out"), options=PrepareOptions(size=28))
"""


@pytest.mark.parametrize("victim", ["os.getpid()", "os.getppid()"])
def test_a_killed_process_leaves_no_other_behind(tmp_path, victim):
    (tmp_path / "deadly.py").write_text(KILLED_WORKER.format(victim=victim))
    # The pipes close when the last of its processes is gone.
    found = subprocess.run(
        [sys.executable, "deadly.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert not (tmp_path / "out").exists()
    if victim == "os.getpid()":
        assert "UserError: a process that reads images was killed" in found.stderr
        assert list(tmp_path.iterdir()) == [tmp_path / "deadly.py"]
    else:
        assert found.returncode == -signal.SIGKILL


def test_the_header_is_numpys():
    for count in (0, 7, 10**6):
        header = store.header(count, 64)
        stream = io.BytesIO(header)
        assert np.lib.format.read_magic(stream) == (1, 0)
        assert np.lib.format.read_array_header_1_0(stream)[0] == (count, 64, 64, 3)
        assert len(header) == 128


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": "diagnosis"}, "has no column 'diagnosis'; available: img_id"),
        ({"group": ["sex"]}, "has no column 'sex'"),
        ({"cluster": "lesion"}, "has no column 'lesion'"),
        ({"id": "patient_id"}, "occurs in more than one row"),
    ],
)
def test_wrong_columns(clinic, columns, message):
    with pytest.raises(UserError, match=message):
        table(clinic, **columns)


def test_sidecars_paths_and_odd_words(clinic):
    (clinic / "imgs" / "PAT_0_0.json").write_text("{}")
    change(
        clinic,
        lambda f: f.assign(
            img_id="imgs/" + f["img_id"], diagnostic=f["diagnostic"].replace("NEV", "None")
        ),
    )
    data = table(clinic, images=clinic)
    assert data.classes == ("MEL", "None")
    assert len(data.frame) == 80
    assert data.info["cells"]["train"]["FEMALE"]["None"] > 0


def test_shifted_rows_and_columns_named_twice(clinic):
    lines = (clinic / "metadata.csv").read_text().splitlines()
    shifted = [lines[0], *(line + ",x" for line in lines[1:])]
    (clinic / "metadata.csv").write_text("\n".join(shifted))
    with pytest.raises(UserError, match="row 1: it has 5 cells where the header has 4"):
        table(clinic)
    with pytest.raises(UserError, match="column 'gender' is named twice"):
        table(clinic, group=["gender", "gender"])
    with pytest.raises(UserError, match="column 'diagnostic' is named twice"):
        table(clinic, group=["diagnostic"])


def test_attributes_with_the_names_of_our_columns(clinic):
    change(clinic, lambda f: f.rename(columns={"gender": "cost"}))
    with pytest.raises(UserError, match="an attribute cannot be called 'cost'"):
        table(clinic, group=["cost"])


def test_an_id_that_means_two_images_is_refused(clinic):
    for folder in "ab":
        write_images(clinic / "imgs" / folder, ["PAT_0_0.png"])
    (clinic / "imgs" / "PAT_0_0.png").unlink()
    message = "id 'PAT_0_0.png' fits both a/PAT_0_0.png and b/PAT_0_0.png; use the path as the id"
    with pytest.raises(UserError, match=message):
        table(clinic)
    change(clinic, lambda f: f.assign(img_id="b/PAT_0_0.png").head(1))
    files = find_images(clinic / "imgs", ["b/PAT_0_0.png", "PAT_0_1", "PAT_1_0.png", "nobody"])
    assert {name: path.split("imgs/")[1] for name, path in files.paths.items()} == {
        "b/PAT_0_0.png": "b/PAT_0_0.png", "PAT_0_1": "PAT_0_1.png", "PAT_1_0.png": "PAT_1_0.png",
    }  # fmt: skip


def test_one_name_in_two_forms_is_one_class_and_one_group(clinic):
    change(
        clinic,
        lambda f: f.assign(
            diagnostic=[x.lower() if i % 3 else f" {x}" for i, x in enumerate(f["diagnostic"])],
            gender=[x.title() if i % 5 else x for i, x in enumerate(f["gender"])],
        ),
    )
    data = table(clinic)
    assert len(data.classes) == 2
    assert len(data.attributes["gender"]) == 2
    assert any("in column 'gender'" in line for line in data.info["warnings"])


def test_an_unknown_patient_is_no_patient(clinic):
    unknown = [name for name in ("unknown", "N/A", "None") for _ in range(20)]
    change(clinic, lambda f: f.assign(patient_id=[*unknown, *f["patient_id"][60:]]))
    data = table(clinic)
    assert (data.frame["cluster"][:60] == "").all()
    assert data.frame["split"].value_counts()["train"] < 60
    change(clinic, lambda f: f.assign(patient_id=["not asked"] * 40 + [f"P{i}" for i in range(40)]))
    warned = table(clinic, "warned").info["warnings"]
    assert any("'not asked' in column 'patient_id' holds 50 % of the rows" in w for w in warned)
    named = table(clinic, "named", unknown_values=["Not asked"])
    assert set(named.frame["cluster"][:40]) == {""}


def test_an_age_is_cut_into_ranges(clinic):
    change(clinic, lambda f: f.assign(age=[str(20 + i // 2) for i in range(80)]))
    with pytest.raises(UserError, match=r"'age' is a number with 40 values.*'bins'"):
        table(clinic, group=["age"])
    data = table(clinic, group=["age"], bins={"age": [30, 50]})
    assert data.attributes["age"] == ("<30", "30-49", "50+")
    assert (data.frame["age"] == "<30").sum() == 20
    with pytest.raises(UserError, match="'bins' is for 'sex', which is not an attribute here"):
        table(clinic, "x", bins={"sex": [1]})


def test_groups_that_are_merged_and_small(clinic):
    change(clinic, lambda f: f.assign(skin=[str(1 + i % 6) for i in range(80)]))
    merge = {"skin": {"1": "light", "2": "light", "3": "light"}}
    data = table(clinic, group=["skin"], merge=merge)
    assert data.attributes["skin"] == ("light", "4", "5", "6")
    change(clinic, lambda f: f.assign(skin=["a"] * 39 + ["b"] * 39 + ["c"] * 2))
    data = table(clinic, "large", group=["skin"], min_group=3)
    assert data.attributes["skin"] == ("a", "b")
    assert data.info["skipped"] == {"small group of skin": 2}
    assert any("c (2)" in line for line in data.info["warnings"])


def test_wrong_tables(clinic):
    change(clinic, lambda f: f.assign(gender="MALE"))
    with pytest.raises(UserError, match=r"attribute 'gender' has only one value \('MALE'\)"):
        table(clinic)
    with pytest.raises(
        UserError,
        match=r"there is no folder .*nowhere; name the folder of the images with 'images'",
    ):
        table(clinic, images=clinic / "nowhere")
    (clinic / "empty").mkdir()
    change(clinic, lambda f: f.assign(gender=np.resize(["MALE", "FEMALE"], len(f))))
    with pytest.raises(
        UserError, match="left out: 80 missing file; an id must be the path of its image"
    ):
        table(clinic, images=clinic / "empty")
    change(clinic, lambda f: f.assign(diagnostic="MEL"))
    with pytest.raises(
        UserError, match=r"at least two classes are needed, but there is only one \('MEL'\)"
    ):
        table(clinic)


def test_a_damaged_archive_is_one_line(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"id,label,sex\n" * 9)[:-12])
    with pytest.raises(UserError, match=r"t\.csv\.gz is not a readable table"):
        read_table(tmp_path / "t.csv.gz")


def test_options_are_checked(tmp_path):
    with pytest.raises(UserError, match="no dataset 'isic'; did you mean 'isic2019'"):
        datasets.create("isic")
    with pytest.raises(UserError, match="dataset 'isic2019' has no option 'target'"):
        datasets.create("isic2019", target="x")
    with pytest.raises(UserError, match="dataset 'table' needs the option 'id'"):
        datasets.create("table")
    with pytest.raises(UserError, match="option 'target' is 'x'; it must be 'label'"):
        datasets.create("fitzpatrick17k", target="x")
    with pytest.raises(UserError, match=r"^'size' is 3; it must be from 8 to 4096"):
        PrepareOptions(size=3)
    with pytest.raises(UserError, match="needs a source"):
        prepare(
            "isic2019", datasets.create("isic2019"), None, tmp_path / "o", options=PrepareOptions()
        )


def test_a_rare_class_is_named(clinic):
    def edit(frame):
        frame.loc[0, "diagnostic"] = "SEK"
        return frame

    change(clinic, edit)
    data = table(clinic)
    assert "class 'SEK' has 1 image(s): too few for every split" in data.info["warnings"]


def test_damaged_folders(tiny, tmp_path):
    with pytest.raises(UserError, match="is not a prepared dataset"):
        open_prepared(tmp_path)
    for file in tiny.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    info = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**info, "format": 0}))
    with pytest.raises(UserError, match="has format 0, but this version reads 1"):
        open_prepared(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(info))
    (tmp_path / "images.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"is damaged .*; prepare it again"):
        open_prepared(tmp_path)
    (tmp_path / "images.npy").write_bytes((tiny.path / "images.npy").read_bytes())
    tiny.frame[:-1].to_parquet(tmp_path / "records.parquet")
    with pytest.raises(UserError, match=r"records\.parquet has changed since it was prepared"):
        open_prepared(tmp_path)


def test_an_existing_folder_is_left_alone(tiny):
    with pytest.raises(UserError, match="already exists"):
        prepare(
            "synthetic",
            datasets.create("synthetic"),
            None,
            tiny.path,
            options=PrepareOptions(size=28),
        )


def test_what_was_done_and_matched_is_stored_and_printed(clinic, command):
    imgs = clinic / "imgs"
    for i in range(3):
        Image.new("RGBA", (9, 9), (1, 2, 3, 4)).save(imgs / f"PAT_{i}_0.png")
    Image.fromarray(np.full((9, 9), 4000, np.uint16)).save(imgs / "PAT_4_0.png")
    Image.fromarray(np.full((9, 9), 1000, np.uint16)).save(imgs / "PAT_5_0.png")
    (imgs / "PAT_6_0.png").rename(imgs / "PAT_6_0.heic")
    (imgs / "PAT_7_0.png").rename(imgs / "PAT_7_0.bmp")
    write_images(imgs, ["extra_1.png", "extra_2.png"])
    change(clinic, lambda f: f.assign(img_id="imgs\\" + f["img_id"]))
    columns = ["--id", "img_id", "--label", "diagnostic", "--group", "gender", "--workers", 1]
    out = ["--images", clinic, "--out", clinic / "out", "--size", 16]
    status, printed, error = command("prepare", "table", clinic / "metadata.csv", *columns, *out)
    assert status == 0, error
    info = open_prepared(clinic / "out").info
    assert info["adjusted"] == {
        "grey of 10 bits scaled to 8": 1,
        "grey of 12 bits scaled to 8": 1,
        "transparent parts on white": 3,
    }
    assert info["unlisted"] == 2
    assert info["matched"] == {
        "matched in another spelling (slashes, blanks, case or Unicode form)": 78,
        "matched with another ending than the table's": 1,
    }
    assert info["left_out"] == {"a kind that is not read (.heic)": {"NEV": 1}}
    for line in [
        "note: the number of bits differs between images",
        "note: 3 images: transparent parts on white",
        "note: 78 rows were matched in another spelling",
        "note: 2 pictures in the folder have no row in the table",
        "left out: 1 (1 a kind that is not read (.heic))",
    ]:
        assert line in printed


def test_rows_left_out_of_few_classes_are_a_warning(clinic):
    change(clinic, lambda f: f.assign(gender=f["gender"].where(f["diagnostic"] != "MEL", None)))

    def some(frame):
        frame.loc[:7, "gender"] = ["MALE", "FEMALE"] * 4
        return frame

    change(clinic, some)
    data = table(clinic, options=PrepareOptions(size=16, workers=1, split="train"))
    assert data.info["left_out"] == {"unknown gender": {"MEL": 18}}
    assert (
        "18 rows were left out (unknown gender), and not evenly over the classes (p < 0.001): "
        "90 % of MEL, 0 % of NEV; what is measured is not the whole"
    ) in data.info["warnings"]


def test_a_small_group_is_never_counted_as_another(clinic):
    change(clinic, lambda f: f.assign(skin=["light"] * 40 + ["dark"] * 37 + ["medium"] * 3))
    options = PrepareOptions(size=16, workers=1, unknown="dark")
    data = table(clinic, options=options, group=["skin"], min_group=10)
    assert data.frame["skin"].value_counts().to_dict() == {"light": 40, "dark": 37}
    assert data.info["skipped"] == {"small group of skin": 3}


def test_two_names_of_one_picture_are_refused(clinic):
    with pytest.raises(UserError, match=r"both fit PAT_0_0\.png"):
        find_images(clinic / "imgs", ["PAT_0_0.png", "PAT_0_0"])


def test_a_long_text_that_nobody_needs(clinic):
    change(clinic, lambda f: f.assign(report="x" * 1500))
    assert len(table(clinic).frame) == 80
