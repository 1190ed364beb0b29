"""A few hundred cases of the fuzzer, with a fixed seed; see `python -m tests.fuzz` for more."""

import pytest

from fuzz.cases import run_case
from fuzz.seeds import make_base

CASES = 200
PARTS = 10


@pytest.fixture(scope="module")
def base(tiny, tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "base"
    make_base(folder, tiny.path, tiny_run.path)
    return folder


@pytest.mark.parametrize("part", range(PARTS))
def test_no_input_ends_in_a_traceback_or_in_silence(base, part, tmp_path):
    faults = []
    for case in range(part, CASES, PARTS):
        folder = tmp_path / str(case)
        folder.mkdir()
        outcome = run_case(base, folder, 0, case)
        if outcome.fault:
            faults.append(f"case {case}, {outcome.door}: {outcome.words}\n{outcome.fault}")
    assert not faults, "\n".join(faults)
