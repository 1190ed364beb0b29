"""A plain install, without extras: its size, and how long a user waits for each command.

Makes a temporary environment, installs this checkout into it with pip, and prints a Markdown table.
"""

import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from timing import table

ROOT = Path(__file__).parents[1]
ROWS, ROUNDS = 2000, 5

WORKS = (
    "--version",
    "--help",
    "list",
    "evaluate table.csv --group sex",
    "audit table.csv --group sex --cluster patient",
    "audit table.csv --group sex --cluster patient --out report.html",
    "report table.csv --group sex --out page.html",
    "prepare synthetic --size 32 --set images=200 --out",
)
NEEDS_AN_EXTRA = ("train run.yaml --out run", "demo")


def write_table(path: Path) -> None:
    """Predictions of three classes, two images of each patient."""
    draw = random.Random(0)
    lines = ["patient,label,sex,p/a,p/b,p/c"]
    for patient in range(ROWS // 2):
        sex = draw.choice("fm")
        for _ in range(2):
            label = draw.randrange(3)
            weights = [draw.random() + (i == label) for i in range(3)]
            shares = [f"{weight / sum(weights):.6f}" for weight in weights]
            lines.append(f"{patient},{'abc'[label]},{sex},{','.join(shares)}")
    path.write_text("\n".join(lines) + "\n")


def megabytes(folder: Path) -> float:
    """What the files of a folder take on disk, as `du` counts it."""
    return sum(file.lstat().st_blocks for file in folder.rglob("*")) * 512 / 2**20


def install(folder: Path) -> Path:
    """The command line of a fresh environment that holds the package and what it needs."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    return folder / "bin" / "fairexit"


def wait(
    program: Path, words: str, folder: Path
) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Median seconds of a command on the clock and of the CPU, and the last result.

    Over some rounds after one that warms up.
    """
    clock, cpu = [], []
    for number in range(ROUNDS + 1):
        # A dataset is made in a new folder each time.
        last = [f"data{number}"] if words.endswith("--out") else []
        command = [str(program), *words.split(), *last]
        start, used = time.perf_counter(), _cpu()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        clock.append(time.perf_counter() - start)
        cpu.append(_cpu() - used)
    return statistics.median(clock[1:]), statistics.median(cpu[1:]), done


def _cpu() -> float:
    """Seconds that the processes of all commands so far have computed."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def check(words: str, done: subprocess.CompletedProcess[str]) -> None:
    """Stop where a command does not do what a plain install promises."""
    if words in WORKS:
        good = done.returncode == 0
    else:
        one_line = done.stderr.count("\n") == 1
        good = done.returncode == 2 and one_line and "needs the extra 'train'" in done.stderr
    if not good:
        sys.exit(f"fairexit {words}: status {done.returncode}\n{done.stderr}")


def main() -> None:
    """Install, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_table(work / "table.csv")
        (work / "run.yaml").write_text("data: {path: data0}\n")
        program = install(work / "environment")
        print(f"Size of the environment: {megabytes(work / 'environment'):.0f} MB\n")
        rows = []
        for words in (*WORKS, *NEEDS_AN_EXTRA):
            clock, cpu, done = wait(program, words, work)
            check(words, done)
            says = "works" if words in WORKS else "names the extra it needs"
            rows.append([f"`fairexit {words}`", f"{clock:.2f} s", f"{cpu:.2f} s", says])
    print(table(["command", "time", "of the CPU", "without extras"], rows))


if __name__ == "__main__":
    main()
