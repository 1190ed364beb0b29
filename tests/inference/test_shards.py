"""Answers in shards: the same bytes as in one process, also after an interruption."""

import os

import numpy as np
import pytest
from PIL import Image

from fairexit.api import prediction as api
from fairexit.errors import UserError
from fairexit.executors.local import LocalProcesses
from fairexit.inference import shards
from fairexit.inference.answers import BatchClassifier

CALL = {"batch_size": 3, "device": "cpu", "overwrite": False}


class Counted(LocalProcesses):
    """An executor that writes down its tasks, and stops after some of them."""

    def __init__(self, stop=99):
        super().__init__(1, 1)
        self.stop, self.names = stop, []

    def run(self, tasks):
        for outcome in super().run(tasks):
            if len(self.names) == self.stop:
                raise KeyboardInterrupt
            self.names.append(outcome.task.name)
            yield outcome


@pytest.fixture
def photos(tmp_path):
    """A folder of 13 images, one of them damaged; the name of another is no text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(11):
        pixels = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "5x.jpg").write_bytes(b"%PDF-1.4")
    (folder / "1.png").rename(folder / os.fsdecode(b"\xe9\n.png"))
    return folder


@pytest.fixture
def classify(judged, photos, tmp_path, monkeypatch):
    """Classify the photos into a file; shards are of two batches of three."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(shards, "IMAGES", 7)

    def classify(name, executor=None, **changes):
        out = tmp_path / name
        api._classify_images(judged, photos, out, executor=executor, **CALL | changes)
        return out.read_bytes()

    return classify


def test_shards_are_joined_and_made_once(classify, tmp_path, monkeypatch):
    whole = classify("whole.csv")
    executor = Counted(stop=1)
    with pytest.raises(KeyboardInterrupt):
        classify("a.csv", executor)
    assert executor.names == ["images 1 to 6"]
    assert not (tmp_path / "a.csv").exists()
    executor = Counted()
    assert classify("a.csv", executor) == whole
    assert "images 1 to 6" not in executor.names
    assert sorted(p.name for p in tmp_path.glob("*a.csv*")) == ["a.csv"]

    # What one process has begun, shards continue; a batch is the smallest part.
    original, done = BatchClassifier.table, []

    def table(self, images, ids):
        done.extend([1] if images else [])
        if len(done) > 1:
            raise KeyboardInterrupt
        return original(self, images, ids)

    with monkeypatch.context() as patch:
        patch.setattr(BatchClassifier, "table", table)
        with pytest.raises(KeyboardInterrupt):
            classify("b.csv")
    executor = Counted()
    assert classify("b.csv", executor) == whole
    assert executor.names == ["images 4 to 9", "images 10 to 12"]


def test_an_error_of_a_shard_is_one_line(classify):
    with pytest.raises(UserError, match=r"^images 1 to 6: 'device' is 'cuda:77': "):
        classify("a.csv", Counted(), device="cuda:77")


def test_options_of_ray_need_images(command, judged, photos, tmp_path):
    for more, message in (
        (("--ray", "auto"), "--ray belongs to --images"),
        (("--threads", 2), "--threads and --gpus belong to --ray"),
        (
            ("--images", photos, "--out", tmp_path / "a.csv", "--ray", "here"),
            "--ray is 'here'; give auto, or the address HOST:PORT",
        ),
    ):
        status, _, err = command("predict", judged.path, *more)
        assert (status, err.count("\n")) == (2, 1)
        assert message in err
    with pytest.raises(UserError, match="'ray' needs 'out', a CSV file for the answers"):
        api.predict(judged, images=photos, ray="auto")
    with pytest.raises(UserError, match="'ray' needs 'images'"):
        api.predict(judged, ray="auto")
