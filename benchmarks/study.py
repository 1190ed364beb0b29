"""Time to make the tables, figures and verdicts of a study of 99 runs with random predictions."""

import contextlib
import json
import sys
import tempfile
import time
from dataclasses import replace
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
    """Write the runs, then time the results that a user waits for."""
    # These runs have no features in which entanglement could be measured.
    study = replace(load_study(STUDY), entangle=False)
    # In another folder, because these runs do not have the checksums of any real data.
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Folder(Path(name))
        folder.open()
        for run in study.runs:
            path = folder.run(run.name).path
            write_run(path, folder.config(run).to_dict(), images=IMAGES, classes=CLASSES)
            job = folder.job(run, study, 1)
            evaluate_run(job)
            folder.set_status(run.name, choice=job.choice)
        start, cpu_start = time.perf_counter(), time.process_time()
        write_results(study, folder)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    result = {"runs": len(study.runs), "images": IMAGES, "seconds": wall, "cpu_seconds": cpu}
    print(json.dumps({k: round(v, 1) for k, v in result.items()}))


if __name__ == "__main__":
    main()
