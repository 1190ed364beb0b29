"""Time to make the tables and verdicts of a study of 99 runs, and with its figures.

The runs have random predictions. Each time includes the start of the worker processes.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "study"))

from fake_runs import write_run
from joblib.externals.loky import get_reusable_executor

from fairexit.study.folder import Folder
from fairexit.study.job import evaluate_run
from fairexit.study.load import load_study
from fairexit.study.results import write_results
from timing import Row

IMAGES, CLASSES = 4968, 8
STUDY = Path(__file__).parents[1] / "configs" / "studies" / "cpu.yaml"


def measure(number: int | None = None) -> tuple[int, dict[str, float]]:
    """The number of runs, and the seconds of tables and verdicts, and of these with figures.

    Args:
        number: how many runs of the study there are; all by default.
    """
    # These runs have no features in which entanglement could be measured.
    study = replace(load_study(STUDY), entangle=False)
    study = replace(study, runs=study.runs[:number])
    # In another folder, because these runs do not have the checksums of any real data.
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Folder(Path(name))
        folder.open()
        for run in study.runs:
            path = folder.run(run.name).path
            write_run(path, folder.config(run).to_dict(), images=IMAGES, classes=CLASSES)
            job = folder.job(run, study)
            evaluate_run(job)
            folder.set_status(run.name, choice=job.choice)
        # No row has this name, so that no figure is drawn.
        return len(study.runs), {
            "tables_and_verdicts": timed(lambda: write_results(study, folder, ["no figure"])),
            "with_figures": timed(lambda: write_results(study, folder)),
        }


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`, per run; there is no peer."""
    runs, seconds = measure(2 if quick else None)
    for key, value in seconds.items():
        yield Row(f"results of a study, {key.replace('_', ' ')}, per run", [value], per=runs)


def main() -> None:
    """Write the runs, then time the results that a user waits for."""
    runs, seconds = measure()
    print(json.dumps({"runs": runs, "images": IMAGES, "seconds": seconds}))


def timed(task: Callable[[], object]) -> float:
    """Run a task in new worker processes, and give its wall time in seconds."""
    get_reusable_executor().shutdown(wait=True)
    start = time.perf_counter()
    task()
    return round(time.perf_counter() - start, 3)


if __name__ == "__main__":
    main()
