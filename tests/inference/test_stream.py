"""Answers for many files: constant memory, the same file after an interruption, lists of files."""

import gc
import os
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fairexit
from fairexit.data.matching import image_files
from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.inference import stream, unfinished
from fairexit.inference.answers import AnswerForm, Answers, BatchClassifier
from fairexit.inference.image_list import list_images
from fairexit.inference.stream import batch_texts, origin, stream_answers
from fairexit.progress import Lines
from fairexit.runs import Run


@pytest.fixture
def own(judged, tmp_path):
    """A run with a policy, which a test may change."""
    return Run(shutil.copytree(judged.path, tmp_path / "run"))


@pytest.fixture
def photos(tmp_path):
    """A folder of 23 images in two folders, one of them damaged."""
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(22):
        pixels = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("b" if i % 3 else "") / f"{i}.png")
    (folder / "b" / "5x.jpg").write_bytes(b"%PDF-1.4")
    return folder


class KilledError(Exception):
    """Stands for a kill of the process."""


@pytest.fixture
def kill_after(monkeypatch):
    """Stop the classification in the n-th batch that is written."""

    def kill_after(batches):
        original = BatchClassifier.table
        done = []

        def table(self, images, ids):
            done.extend([1] if images else [])
            if len(done) > batches:
                raise KilledError
            return original(self, images, ids)

        monkeypatch.setattr(BatchClassifier, "table", table)
        return lambda: monkeypatch.setattr(BatchClassifier, "table", original)

    return kill_after


def names_beside(out):
    return sorted(file.name for file in out.parent.iterdir() if out.name in file.name)


@pytest.mark.parametrize("kind", ["run", "export"])
def test_an_interrupted_call_ends_in_the_same_bytes(
    kind, own, staged, photos, tmp_path, kill_after, capsys
):
    model, out = (own.path if kind == "run" else staged), tmp_path / "a.csv"
    call = {"images": photos, "batch_size": 4}
    fairexit.predict(model, **call, out=tmp_path / "whole.csv")
    for batches in (2, 0, 1):
        mend = kill_after(batches)
        with pytest.raises(KilledError):
            fairexit.predict(model, **call, out=out)
        mend()
        assert not out.exists()
    capsys.readouterr()
    assert fairexit.predict(model, **call, out=out) == [out]
    assert f"resuming {out} after 12 of 23 images" in capsys.readouterr().err
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert names_beside(out) == ["a.csv"]
    table = pd.read_csv(out).set_index("id")
    assert table["problem"].notna().sum() == 1
    assert "not an image of a format that is read" in table.loc["b/5x.jpg", "problem"]
    assert table.index.tolist() == [p.relative_to(photos).as_posix() for p in image_files(photos)]


def test_a_folder_that_vanishes_is_one_line_and_resumes(
    own, photos, command, tmp_path, monkeypatch
):
    out, away = tmp_path / "a.csv", tmp_path / "away"
    words = ["predict", own.path, "--images", photos, "--batch-size", 4, "--out", out]
    fairexit.predict(own, images=photos, batch_size=4, out=tmp_path / "whole.csv")
    original, batches = BatchClassifier.table, []

    def table(self, images, ids):
        batches.extend([1] if images else [])
        if len(batches) == 3:
            photos.rename(away)
        return original(self, images, ids)

    with monkeypatch.context() as patch:
        patch.setattr(BatchClassifier, "table", table)
        status, _, errors = command(*words)
    last = errors.splitlines()[-1]
    assert (status, errors.count("fairexit: ")) == (2, 1)
    assert last.startswith(f"fairexit: {photos}/")
    assert last.endswith("put it back and run the same command again to resume")
    away.rename(photos)
    status, _, errors = command(*words)
    assert status == 0
    assert f"resuming {out} after 8 of 23 images" in errors
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_chunk_that_a_kill_has_cut_off_is_written_again(own, photos, tmp_path, kill_after):
    out, call = tmp_path / "a.csv", {"images": photos, "batch_size": 4}
    fairexit.predict(own, **call, out=tmp_path / "whole.csv")
    mend = kill_after(2)
    with pytest.raises(KilledError):
        fairexit.predict(own, **call, out=out)
    mend()
    with (tmp_path / ".a.csv.unfinished").open("ab") as file:
        file.write(b"b/1.png,nev")
    fairexit.predict(own, **call, out=out)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_killed_process_resumes(own, photos, tmp_path):
    out = tmp_path / "a.csv"
    words = ["predict", own.path, "--images", photos, "--batch-size", 2, "--out", out]
    words = [str(word) for word in words]
    code = (
        "import os, signal, sys\n"
        "from fairexit.inference import unfinished\n"
        "from fairexit.inference.answers import BatchClassifier\n"
        "unfinished.SAVE_EVERY, done, original = 0, [], BatchClassifier.table\n"
        "def table(self, images, ids):\n"
        "    done.append(1)\n"
        "    if len(done) > 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return original(self, images, ids)\n"
        "BatchClassifier.table = table\n"
        f"sys.argv = ['fairexit', *{words!r}]\n"
        "from fairexit.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9
    again = subprocess.run(
        [sys.executable, "-m", "fairexit", *words], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert f"resuming {out} after 8 of 23 images" in again.stderr
    fairexit.predict(own, images=photos, batch_size=2, out=tmp_path / "whole.csv")
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def change_policy(run, photos):
    Policy(0.5).save(run.policy)


def change_weights(run, photos):
    shutil.copy(run.last_weights, run.weights)
    with run.weights.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\1")


def change_files(run, photos):
    (photos / "1z.png").write_bytes((photos / "0.png").read_bytes())


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (change_policy, {}, "since then the policy has changed"),
        (change_weights, {}, "since then the model has changed"),
        (change_files, {}, "since then the list of files has changed"),
        (None, {"batch_size": 3}, "since then the batch size has changed"),
    ],
)
def test_what_has_changed_since_is_said(
    own, photos, tmp_path, kill_after, capsys, change, more, message
):
    out, call = tmp_path / "a.csv", {"images": photos, "batch_size": 4}
    mend = kill_after(2)
    with pytest.raises(KilledError):
        fairexit.predict(own, **call, out=out)
    mend()
    if change:
        change(own, photos)
    with pytest.raises(UserError, match=message) as error:
        fairexit.predict(own, **call | more, out=out)
    assert "set 'overwrite' to start again" in str(error.value)
    capsys.readouterr()
    fairexit.predict(own, **call | more, out=out, overwrite=True)
    assert message.removeprefix("since then ") in capsys.readouterr().err
    fairexit.predict(own, **call | more, out=tmp_path / "whole.csv")
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_overwriting_resumes_too(own, photos, tmp_path, kill_after, capsys):
    out, call = tmp_path / "a.csv", {"images": photos, "batch_size": 4, "overwrite": True}
    out.write_text("older")
    mend = kill_after(2)
    with pytest.raises(KilledError):
        fairexit.predict(own, **call, out=out)
    mend()
    assert out.read_text() == "older"
    fairexit.predict(own, **call, out=out)
    assert "resuming" in capsys.readouterr().err
    assert len(pd.read_csv(out)) == 23


def test_a_damaged_record_is_named(own, photos, tmp_path, kill_after):
    out, call = tmp_path / "a.csv", {"images": photos, "batch_size": 4}
    mend = kill_after(1)
    with pytest.raises(KilledError):
        fairexit.predict(own, **call, out=out)
    mend()
    (tmp_path / ".a.csv.unfinished.json").write_text('{"source": {}, "rows": "x"}')
    with pytest.raises(UserError, match=r"\.a\.csv\.unfinished\.json is damaged; remove it"):
        fairexit.predict(own, **call, out=out)


@pytest.mark.parametrize("every", [0, 1000])
def test_a_full_disk_is_one_line_that_names_the_file(
    own, photos, command, tmp_path, monkeypatch, every
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unfinished, "SAVE_EVERY", every)
    monkeypatch.setattr(unfinished.os, "fsync", full)
    out = tmp_path / "a.csv"
    status, _, error = command("predict", own.path, "--images", photos, "--out", out)
    assert (status, error) == (2, f"fairexit: {out}: No space left on device\n")
    assert not out.exists()


def test_a_record_does_not_outlive_its_content(own, photos, tmp_path, kill_after, monkeypatch):
    out, call = tmp_path / "a.csv", {"images": photos, "batch_size": 4}
    fairexit.predict(own, **call, out=tmp_path / "whole.csv")
    mend = kill_after(1)
    with pytest.raises(KilledError):
        fairexit.predict(own, **call, out=out)
    mend()
    # Begun anew under another policy, and killed before anything was recorded.
    policy = own.policy.read_bytes()
    Policy(None).save(own.policy)
    mend, save = kill_after(3), unfinished.Unfinished._save
    monkeypatch.setattr(unfinished.Unfinished, "_save", lambda *_: None)
    with pytest.raises(KilledError):
        fairexit.predict(own, **call, out=out, overwrite=True)
    mend()
    monkeypatch.setattr(unfinished.Unfinished, "_save", save)
    own.policy.write_bytes(policy)
    fairexit.predict(own, **call, out=out)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "b/1.png\n\n{folder}/0.png\r\nno.png\nb/5x.jpg"),
        ("list.csv", "path,label\nb/1.png,x\n{folder}/0.png,y\nno.png,z\nb/5x.jpg,x\n"),
        ("list.csv", "label;path\nx;b/1.png\ny;{folder}/0.png\nz;no.png\nx;b/5x.jpg\n"),
        ("list.tsv", 'path\tlabel\n"b/1.png"\tx\n{folder}/0.png\ty\nno.png\tz\nb/5x.jpg\tx\n'),
        ("list.TXT", "\ufeffb/1.png\n{folder}/0.png\nno.png\nb/5x.jpg\n"),
    ],
)
def test_a_list_of_files(own, photos, command, tmp_path, name, text):
    (photos / name).write_text(text.format(folder=photos), encoding="utf-8")
    out = tmp_path / "a.csv"
    status, _, error = command("predict", own.path, "--images", photos / name, "--out", out)
    assert status == 0, error
    table = pd.read_csv(out)
    assert table["id"].tolist() == ["b/1.png", f"{photos}/0.png", "no.png", "b/5x.jpg"]
    problems = table["problem"].fillna("").tolist()
    assert problems[:3] == ["", "", "unreadable file: No such file or directory"]
    assert "not an image" in problems[3]
    files = fairexit.predict(own, images=photos)
    answers = files.set_index("id")["prediction"]
    assert table["prediction"].tolist()[:2] == [answers["b/1.png"], answers["0.png"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\n\n", "which holds no image"),
        ("a.txt", b"a.png\n\0b", r"a\.txt: line 2 is not a path; give a text in UTF-8"),
        ("a.txt", b"x" * 70_000, r"a\.txt: line 1 is not a path"),
        ("a.csv", b"file,label\na.png,x\n", "must have one column 'path', but has the columns"),
        ("a.csv", b"path,path\na.png,x\n", "must have one column 'path'"),
        ("a.csv", b"path,label\na.png,x\n,y\n", "the row at line 3 has no path"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"path,label\n", "which holds no image"),
    ],
)
def test_a_list_that_is_none(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        list_images(tmp_path / name)


def test_a_list_is_not_written_over(own, tmp_path, command):
    (tmp_path / "a.csv").write_text("path,label\na.png,x\n")
    status, _, error = command(
        "predict",
        own.path,
        "--images",
        tmp_path / "a.csv",
        "--out",
        tmp_path / "a.csv",
        "--overwrite",
    )
    assert (status, error.count("\n")) == (2, 1)
    assert "is also the list of images; choose another name" in error
    assert (tmp_path / "a.csv").read_text() == "path,label\na.png,x\n"


def test_a_folder_is_listed_as_before(tmp_path):
    odd = ["a.png", "a/b.png", "a b.png", "a-c/d.PNG", "\xe9.jpg", "ab/two\nlines.png", "A.png"]
    for name in [*odd, "a/c/d/e.tif", ".hidden.png", "notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "link.png").symlink_to("a.png")
    images = list_images(tmp_path)
    paths = [path for _, path in images.files()]
    assert paths == image_files(tmp_path)
    assert images.count == len(paths)
    assert [path for _, path in images.files(3)] == paths[3:]


class Guess(BatchClassifier):
    """Answers without a look at the files, so that only the rest needs memory and time."""

    device = "cpu"
    form = AnswerForm(["a", "b"], ["1", "f"], [1.0, 2.0], None)

    def as_list(self, images):
        return list(images)

    def answer(self, images):
        n = len(images)
        if not n:
            return None, []
        return Answers(np.full((n, 2), 0.5), np.zeros(n, np.int64), np.full(n, 0.5)), [""] * n


def peak(images, out, own):
    """The largest number of bytes that Python held while images were listed and answered."""
    # Among many old objects, as in a run of all tests, garbage waits longer to be collected.
    gc.collect()
    gc.freeze()
    gc.collect()
    tracemalloc.start()
    listed = list_images(images)
    source = origin(own, listed, batch_size=256, device="cpu")

    def texts(unfinished):
        return batch_texts(Guess(), listed, unfinished.rows, batch_size=256)

    stream_answers(Guess(), listed, out, source=source, overwrite=False, texts=texts)
    bytes_held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    gc.unfreeze()
    return bytes_held


@pytest.mark.parametrize("kind", ["folder", "list"])
def test_memory_does_not_grow_with_the_number_of_images(kind, judged, tmp_path):
    peaks = []
    for n in (2_000, 30_000):
        folder = tmp_path / f"{n}"
        folder.mkdir()
        if kind == "folder":
            (tmp_path / "first.png").write_bytes(b"")
            for i in range(n):
                os.link(tmp_path / "first.png", folder / f"image-{i}.png")
        else:
            (folder / "list.txt").write_text("".join(f"image-{i}.png\n" for i in range(n)))
        images = folder if kind == "folder" else folder / "list.txt"
        # Python's own table of interned strings may grow by megabytes meanwhile, but not twice.
        peaks.append(min(peak(images, tmp_path / f"{n}-{i}.csv", judged) for i in (1, 2)))
        with (tmp_path / f"{n}-1.csv").open() as file:
            assert sum(1 for _ in file) == n + 1
    # Names alone of 28,000 images more, held at once, would be 2 MB.
    assert peaks[1] < peaks[0] + 1_000_000


def test_a_log_shows_the_rate_and_the_time_left(monkeypatch):
    clock = iter([0.0, 30.0, 61.0, 62.0, 122.0])
    monkeypatch.setattr("fairexit.progress.time.monotonic", lambda: next(clock))
    lines = Lines("classifying", 100_000, 1_000, "images")
    assert lines.advance(500) == ""
    expected = "classifying: 7,100 of 100,000 images, 100 a second, about 15 min left"
    assert lines.advance(5_600) == expected
    assert lines.advance(1) == ""
    assert lines.advance(1).startswith("classifying: 7,102 of 100,000 images, 50 a second")


def test_two_calls_do_not_write_the_same_file(own, photos, tmp_path, monkeypatch):
    out = tmp_path / "a.csv"
    with stream.folder_lock(out), pytest.raises(UserError, match="another fairexit process is wr"):
        fairexit.predict(own, images=photos, out=out)
