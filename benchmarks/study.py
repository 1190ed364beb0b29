"""Tables, figures and verdicts of a study of 99 runs, from its files; generated predictions."""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "study"))

from fake_runs import write_run

from fairexit.study.folder import Folder
from fairexit.study.job import evaluate_run
from fairexit.study.load import load_study
from fairexit.study.results import write_results

IMAGES, CLASSES = 4968, 8
STUDY = Path(__file__).parents[1] / "configs" / "studies" / "cpu.yaml"


def main() -> None:
    """Write the runs, then time what a user waits for."""
    study = load_study(STUDY)
    # Away from any real data, with whose checksums made-up runs would not agree.
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Folder(Path(name))
        folder.open()
        for run in study.runs:
            path = folder.run(run.name).path
            write_run(path, folder.config(run).to_dict(), images=IMAGES, classes=CLASSES)
            job = folder.job(run, study, 1)
            evaluate_run(job)
            folder.set_status(run.name, choice=job.choice)
        began, cpu = time.perf_counter(), time.process_time()
        write_results(study, folder)
        wall, used = time.perf_counter() - began, time.process_time() - cpu
    found = {"runs": len(study.runs), "images": IMAGES, "seconds": wall, "cpu_seconds": used}
    print(json.dumps({k: round(v, 1) for k, v in found.items()}))


if __name__ == "__main__":
    main()
