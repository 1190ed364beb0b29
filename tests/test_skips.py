"""The hook that fails a session with an unlisted skip, with and without processes of xdist."""

import subprocess
import sys
from pathlib import Path

import pytest

from skips import read_allowed

SKIPPING = """
import pytest

def test_works():
    pass

@pytest.mark.parametrize("n", [1, 2])
def test_asleep(n):
    pytest.skip("tired")
"""
MODULE = 'import pytest\npytest.importorskip("no_such_package")\n'


@pytest.fixture
def run(tmp_path):
    """Run tests with the hook and a list; returns the exit status and what is printed."""

    def run(tests, allowed, *options):
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "test_some.py").write_text(tests)
        (tmp_path / "skips.py").write_text(Path(__file__).with_name("skips.py").read_text())
        (tmp_path / "allowed_skips.txt").write_text(allowed)
        command = [sys.executable, "-m", "pytest", "-p", "skips", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout

    return run


PROCESSES = pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one", "xdist"])


@PROCESSES
def test_a_listed_skip_passes(run, options):
    status, text = run(SKIPPING, "# Why.\n\ntest_some.py::test_asleep[*]  tired\n", *options)
    assert (status, "not listed" in text) == (0, False)
    assert "2 skipped" in text


@PROCESSES
@pytest.mark.parametrize("allowed", ["", "test_some.py::test_asleep[1]  *", "*  *awake"])
def test_an_unlisted_skip_fails_and_is_named(run, allowed, options):
    status, text = run(SKIPPING, allowed, *options)
    assert (status, "skipped, but not listed in allowed_skips.txt" in text) == (1, True)
    assert "test_some.py::test_asleep[2]  tired\n" in text
    assert ("test_some.py::test_asleep[1]  tired\n" in text) == ("[1]" not in allowed)


@PROCESSES
def test_a_skipped_file_counts_too(run, options):
    status, text = run(SKIPPING + MODULE, "", *options)
    assert "test_some.py  could not import 'no_such_package'" in text
    assert status != 0
    listed = "test_some.py  could not import 'no_such_package'*"
    assert "not listed" not in run(SKIPPING + MODULE, listed, *options)[1]


def test_a_line_without_a_reason_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("tests/test_gpu.py::*\n")
    with pytest.raises(ValueError, match="write a test id, two spaces and the reason: tests/test"):
        read_allowed(tmp_path / "list.txt")
