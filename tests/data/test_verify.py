"""Prepared data that changed, or that somebody else wrote, are refused in one line."""

import json
import os
import shutil
import time
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest

from fairexit.data import verify
from fairexit.data.prepared import open_prepared
from fairexit.data.verify import IMAGES, RECORDS, STAMP, sha256_of_rows
from fairexit.errors import UserError


@pytest.fixture
def copy(tiny, tmp_path, monkeypatch):
    """A copy of a prepared folder, which this process has not opened yet."""
    monkeypatch.setattr(verify, "_verified", set())
    return shutil.copytree(tiny.path, tmp_path / "copy")


def write_records(folder, frame):
    """Replace the records, and their checksum as another program might."""
    frame.to_parquet(folder / RECORDS, index=False)
    info = json.loads((folder / "dataset.json").read_text())
    info["checksums"][RECORDS] = sha256_of_rows(pd.read_parquet(folder / RECORDS))
    (folder / "dataset.json").write_text(json.dumps(info))


def change_images(folder):
    """Invert the first image in place; the size of the file stays."""
    images = np.load(folder / IMAGES)
    images[0] = 255 - images[0]
    np.save(folder / IMAGES, images)


def counting(monkeypatch):
    """Count how often the images are read as a whole."""
    calls = []
    real = verify.sha256
    monkeypatch.setattr(verify, "sha256", lambda file: calls.append(file) or real(file))
    return calls


def test_shuffled_labels_are_noticed(copy):
    frame = pd.read_parquet(copy / RECORDS)
    frame["label"] = frame["label"].to_numpy()[::-1]
    frame.to_parquet(copy / RECORDS, index=False)
    with pytest.raises(UserError, match=r"records\.parquet has changed since it was prepared"):
        open_prepared(copy)


def test_changed_pixels_are_noticed(copy):
    change_images(copy)
    with pytest.raises(UserError, match=r"images\.npy has changed since it was prepared"):
        open_prepared(copy)


def test_changed_pixels_are_noticed_though_size_and_time_are_the_same(copy, monkeypatch):
    open_prepared(copy)
    before = (copy / IMAGES).stat()
    time.sleep(0.02)  # a file system's clock may be coarse
    change_images(copy)
    os.utime(copy / IMAGES, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UserError, match=r"images\.npy has changed"):
        open_prepared(copy)


def test_a_stamp_that_lies_is_seen_where_all_is_verified(copy):
    change_images(copy)
    digest = json.loads((copy / "dataset.json").read_text())["checksums"][IMAGES]
    verify.write_stamp(copy, digest)
    open_prepared(copy)
    with pytest.raises(UserError, match=r"images\.npy has changed"):
        open_prepared(copy, whole=True)


def test_a_copy_is_verified_once(copy, monkeypatch):
    calls = counting(monkeypatch)
    open_prepared(copy)
    assert len(calls) == 1
    monkeypatch.setattr(verify, "_verified", set())  # as in another process
    open_prepared(copy)
    assert len(calls) == 1
    open_prepared(copy, whole=True)
    open_prepared(copy, whole=True)
    assert len(calls) == 2


def test_a_fresh_folder_has_a_stamp(tiny, monkeypatch):
    monkeypatch.setattr(verify, "_verified", set())
    calls = counting(monkeypatch)
    open_prepared(tiny.path)
    assert calls == []


def test_a_copy_that_cannot_be_written_is_verified_each_time(copy, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (copy / STAMP).unlink()
    monkeypatch.setattr(verify, "write_atomically", refuse)
    calls = counting(monkeypatch)
    for _ in range(2):
        monkeypatch.setattr(verify, "_verified", set())
        open_prepared(copy)
    assert len(calls) == 2
    assert not (copy / STAMP).exists()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "cyst", r"row 4 \(id 'synthetic_000003'\): label 'cyst' is not one of nevus"),
        ("skin_tone", "green", r"row 4 \(id 'synthetic_000003'\): skin_tone 'green' is not one of"),
        ("split", "tset", r"row 4 \(id 'synthetic_000003'\): split 'tset' is not one of train"),
        ("id", "synthetic_000001", "id 'synthetic_000001' occurs in more than one row"),
        ("label", None, r"row 4 \(id 'synthetic_000003'\) has no label"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(copy, column, value, message):
    frame = pd.read_parquet(copy / RECORDS)
    frame.loc[3, column] = value
    write_records(copy, frame)
    with pytest.raises(UserError, match=message):
        open_prepared(copy)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.drop(columns="skin_tone"), "there is no column 'skin_tone'"),
        (lambda f: f.assign(label=range(len(f))), "column 'label' does not hold text"),
        (lambda f: f.drop(columns="split").assign(fold=-1), "'fold' does not hold whole numbers"),
        (lambda f: f[:-1], "159 records but 160 images"),
    ],
)
def test_wrong_columns_are_named(copy, edit, message):
    write_records(copy, edit(pd.read_parquet(copy / RECORDS)))
    with pytest.raises(UserError, match=message):
        open_prepared(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", {"a": 1}),
        ("classes", "abc"),
        ("classes", [1, 2]),
        ("attributes", ["sex"]),
        ("attributes", {"sex": "fm"}),
        ("attributes", {}),
        ("options", []),
        ("options", {}),
        ("options", {"fit": 1}),
        ("leaks", [1]),
        ("leaks", {"train-test": 5}),
        ("checksums", "x"),
        ("checksums", {}),
        ("checksums", {"images.npy": 1, "records.parquet": 2}),
        ("skipped", {"a": "many"}),
        ("name", None),
        ("dataset", 7),
        ("format", [1]),
    ],
)
def test_wrong_types_in_the_description_are_one_line(copy, key, value):
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps({**info, key: value}))
    with pytest.raises(UserError, match=r"copy(/dataset\.json is damaged| has format)") as error:
        open_prepared(copy)
    assert "\n" not in str(error.value)
    del info[key]
    if key == "dataset":
        return
    (copy / "dataset.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"dataset\.json is "):
        open_prepared(copy)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe{", b"{" * 9, b"[" * 200_000, b"null"])
def test_a_description_that_is_none(copy, content):
    (copy / "dataset.json").write_bytes(content)
    with pytest.raises(UserError, match=r"dataset\.json is "):
        open_prepared(copy)


def npy(header):
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(400)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"\x93NUMPY\x09\x00",
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 5)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 5, 4, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 0, 0, 3)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 5, 5, 3)}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 5, 5, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 5, 5, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999, 99999, 99999, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 5, 5, 3.5)}"),
        npy("{'descr': [('a', 1)], 'fortran_order': 0, 'shape': 7}"),
        npy("{'descr':" + "(" * 500),
    ],
)
def test_odd_headers_of_the_images_are_one_line(copy, content):
    (copy / IMAGES).write_bytes(content)
    with pytest.raises(UserError, match=r"(images\.npy is|copy is) damaged"):
        open_prepared(copy)


def test_damaged_parquet_is_one_line(copy):
    content = bytearray((copy / RECORDS).read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = content.copy()
        for place in rng.integers(0, len(content), 8):
            damaged[place] = rng.integers(256)
        (copy / RECORDS).write_bytes(damaged)
        with suppress(UserError):  # no other exception
            data = open_prepared(copy)
            # Only bytes that hold no values were changed.
            assert sha256_of_rows(data.frame) == data.info["checksums"][RECORDS]
