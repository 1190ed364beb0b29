"""The wheel holds the package and nothing else, and works where the project is not."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = "label,sex,prediction\n" + "a,f,a\nb,f,b\na,m,b\nb,m,b\n" * 20
DATA = ("py.typed", "study/paper_tables.csv", "report/templates/audit.html")

pytest.importorskip("hatchling", reason="hatchling is not installed")


def call(*command, folder, without=()):
    environment = {key: value for key, value in os.environ.items() if key not in without}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the working tree."""
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, folder=ROOT)
    (file,) = out.iterdir()
    return file


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    package = ROOT / "src" / "fairexit"
    files = {
        f"fairexit/{file.relative_to(package).as_posix()}"
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in held if ".dist-info/" not in name} == files
    assert {f"fairexit/{name}" for name in DATA} <= held
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in held)


def test_the_wheel_works_where_the_project_is_not(wheel, tmp_path):
    # Dependencies come from this environment; its editable fairexit does not, since files *.pth
    # of a folder that a file *.pth names are not read.
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    call(sys.executable, "-m", "pip", "--python", python, *install, folder=tmp_path)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(p for p in sys.path if "site-" in p))

    outside = {"folder": tmp_path, "without": ["PYTHONPATH"]}
    where = call(python, "-c", "import fairexit; print(fairexit.__file__)", **outside)
    assert Path(where.strip()).is_relative_to(packages)
    (tmp_path / "table.csv").write_text(TABLE)
    command = tmp_path / "env" / "bin" / "fairexit"
    words = ["audit", "table.csv", "--group", "sex", "--permutations", "100", "--resamples", "100"]
    call(command, *words, "--out", "report.html", **outside)
    assert "</html>" in (tmp_path / "report.html").read_text()
