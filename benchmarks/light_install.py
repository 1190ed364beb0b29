"""Size of an install without extras, and the time of each command in it.

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
    """The disk space of a folder's files, as `du` counts it."""
    return sum(file.lstat().st_blocks for file in folder.rglob("*")) * 512 / 2**20


def install(folder: Path) -> Path:
    """Install the package into a fresh environment and return its command line."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    return folder / "bin" / "fairexit"


def time_command(
    program: Path, arguments: str, folder: Path
) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Run a command several times after a first, unmeasured one.

    Returns:
        Median seconds of wall clock, median seconds of CPU, and the last result.
    """
    clock, cpu = [], []
    for number in range(ROUNDS + 1):
        # Each round makes the dataset in a new folder.
        out = [f"data{number}"] if arguments.endswith("--out") else []
        command = [str(program), *arguments.split(), *out]
        start, used = time.perf_counter(), _cpu()
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        clock.append(time.perf_counter() - start)
        cpu.append(_cpu() - used)
    return statistics.median(clock[1:]), statistics.median(cpu[1:]), result


def _cpu() -> float:
    """CPU seconds of all commands so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def check(arguments: str, result: subprocess.CompletedProcess[str]) -> None:
    """Exit with an error if a command does not do what an install without extras promises."""
    if arguments in WORKS:
        is_good = result.returncode == 0
    else:
        message = result.stderr
        is_named = message.count("\n") == 1 and "needs the extra 'train'" in message
        is_good = result.returncode == 2 and is_named
    if not is_good:
        sys.exit(f"fairexit {arguments}: status {result.returncode}\n{result.stderr}")


def main() -> None:
    """Install, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_table(work / "table.csv")
        (work / "run.yaml").write_text("data: {path: data0}\n")
        program = install(work / "environment")
        print(f"Size of the environment: {megabytes(work / 'environment'):.0f} MB\n")
        rows = []
        for arguments in (*WORKS, *NEEDS_AN_EXTRA):
            clock, cpu, result = time_command(program, arguments, work)
            check(arguments, result)
            outcome = "works" if arguments in WORKS else "names the extra it needs"
            rows.append([f"`fairexit {arguments}`", f"{clock:.2f} s", f"{cpu:.2f} s", outcome])
    print(table(["command", "time", "CPU time", "without extras"], rows))


if __name__ == "__main__":
    main()
