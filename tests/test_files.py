"""Files that are either as they were or whole, what killed processes leave, and locks."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fairexit import leftovers
from fairexit.errors import UserError
from fairexit.files import folder_lock, replacing, write_atomically, write_json
from fairexit.metrics.record import main_metrics
from fairexit.pruning.record import path_table

KILLED_WHILE_WRITING = """
import sys, time
from pathlib import Path
from fairexit.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    time.sleep(600)
"""
HOLDS_A_LOCK = """
import sys, time
from pathlib import Path
from fairexit.files import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def process():
    """Start Python code in processes, wait for their first line, and kill them at the end."""
    started = []

    def start(code, *words):
        child = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True
        )
        started.append(child)
        return child, child.stdout.readline().strip()

    yield start
    for child in started:
        child.kill()
        child.wait(60)
        child.stdout.close()


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_full_disk_is_told_of_the_file_and_leaves_it_as_it_was(tmp_path):
    file = tmp_path / "page.html"
    write_atomically(file, "old")
    with pytest.raises(OSError, match="No space left on device") as full, replacing(file):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == str(file)
    assert names(tmp_path) == ["page.html"]
    assert file.read_text() == "old"


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        write_atomically(tmp_path, "new")
    assert tmp_path.is_dir()


def test_a_device_or_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is not a regular file"):
        write_atomically(tmp_path / "pipe", "new")
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "page.html"
    link.symlink_to(tmp_path / "real" / "page.html")
    for text in ("first", "second"):
        write_atomically(link, text)
        assert link.is_symlink()
        assert (tmp_path / "real" / "page.html").read_text() == text
    assert names(tmp_path / "real") == ["page.html"]


def test_the_file_of_a_killed_process_goes_with_the_next_write(process, tmp_path):
    file = tmp_path / "page.html"
    child, left = process(KILLED_WHILE_WRITING, file)
    write_atomically(file, "while the other still writes")
    assert names(tmp_path) == sorted([left, "page.html"])
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    write_atomically(tmp_path / "other.html", "another file")
    assert left in names(tmp_path)
    write_atomically(file, "new")
    assert names(tmp_path) == ["other.html", "page.html"]


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(60)
    return child.pid


def test_the_folder_of_a_dead_process_goes_too(tmp_path):
    left = tmp_path / f".data.{leftovers.HOST}.{dead_pid()}.partial"
    (left / "inner").mkdir(parents=True)
    leftovers.remove_leftovers(tmp_path / "data")
    assert names(tmp_path) == []


def test_files_of_other_hosts_are_kept_for_a_day(tmp_path):
    file, pid = tmp_path / "page.html", dead_pid()
    fresh, old = (tmp_path / f".page.html.other-{age}.{pid}.partial" for age in ("fresh", "old"))
    for other in (fresh, old):
        other.write_text("half")
    day_before_yesterday = time.time() - 2 * leftovers.ABANDONED
    os.utime(old, (day_before_yesterday, day_before_yesterday))
    write_atomically(file, "new")
    assert names(tmp_path) == [fresh.name, "page.html"]


@pytest.mark.parametrize(
    "name", [".page.html.partial", "page.html.h.1.partial", ".page.html.mine.partial"]
)
def test_files_of_other_names_are_the_users(name, tmp_path):
    (tmp_path / name).write_text("mine")
    write_atomically(tmp_path / "page.html", "new")
    assert (tmp_path / name).read_text() == "mine"


def test_files_of_other_users_are_kept(tmp_path, monkeypatch):
    left = tmp_path / f".page.html.{leftovers.HOST}.{dead_pid()}.partial"
    left.write_text("half")
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)
    write_atomically(tmp_path / "page.html", "new")
    assert left.exists()


def test_a_link_does_not_pass_round_the_lock(process, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    (tmp_path / "by").symlink_to(tmp_path)
    child, _ = process(HOLDS_A_LOCK, link)
    for same in (real, link, tmp_path / "by" / "real", tmp_path / "by" / "link"):
        with (
            pytest.raises(UserError, match=f"another fairexit process is writing to {same}"),
            folder_lock(same),
        ):
            pass
    with folder_lock(tmp_path / "another"):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    with folder_lock(real):
        pass
    assert names(tmp_path) == ["by", "link", "real"]


def test_a_circle_of_links_is_an_error_of_the_file_system(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match=r"File exists|symbolic link"):
        write_atomically(tmp_path / "a" / "page.html", "new")
    with (
        pytest.raises(UserError, match="cannot be written: "),
        folder_lock(tmp_path / "a" / "run"),
    ):
        pass
    assert names(tmp_path) == ["a", "b"]


def test_threads_write_one_file_without_a_collision(tmp_path):
    def write(number):
        for _ in range(50):
            write_atomically(tmp_path / "f", f"{number}" * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    content = (tmp_path / "f").read_text()
    assert len(content) == 1000
    assert len(set(content)) == 1


def test_json_is_strict_and_what_is_not_finite_is_null(tmp_path):
    write_json(tmp_path / "a.json", {"a": [math.nan, math.inf, 1.5], "b": (1, "NaN")})

    def refuse(name):
        raise ValueError(name)

    content = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert content == {"a": [None, None, 1.5], "b": [1, "NaN"]}


def test_a_step_of_a_pruning_whose_metric_is_not_defined_is_shown():
    values = {f"{end}{name}": None for end in ("", "final_") for name in main_metrics()}
    row = {"number": 0, "beta": None, "fraction": 0.0, "theta": None} | values
    table = path_table({"path": [row], "chosen": 0, "reason": "x", "edited": "zeros"})
    assert set(table.rows[0][4:]) == {""}
