"""Imports run only against the arrow of the design; a table is evaluated without a network."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "fairexit"

# What each room may import, besides itself, `tabular` and the files beside the rooms.
TABLES = {"metrics", "predictions", "stats", "evaluation"}
ALLOWED = {
    "tabular": set(),
    "executors": set(),
    "metrics": set(),
    "predictions": set(),
    "stats": {"metrics"},
    "evaluation": {"metrics", "predictions", "stats"},
    "auditing": TABLES,
    "monitoring": {"auditing", *TABLES},
    "data": set(),
    "runtime": {"data", "evaluation", "predictions"},
    "models": set(),
    "losses": set(),
    "methods": {"models", "losses"},
    "training": {"data", "models", "methods", "metrics"},
    "hub": {"data", "models", *TABLES},
    "inference": {
        *("data", "models", "losses", "methods", "training", "runtime", "hub", "executors"),
        *TABLES,
    },
    "exporting": {"data", "models", "training", "inference", "runtime", *TABLES},
    "pruning": {"data", "models", "losses", "methods", "training", "inference", *TABLES},
    "report": {"data", "auditing", "monitoring", *TABLES},
    "documentation": {"data", "auditing", "report", "hub", *TABLES},
}
ALLOWED["study"] = set(ALLOWED)
ALLOWED["serving"] = {"data", "evaluation", "predictions", "runtime", "inference", "report"}
ALLOWED["api"] = set(ALLOWED) - {"models", "losses", "methods"}
ALLOWED["commands"] = set(ALLOWED) - {"models", "losses", "methods"}

# What gathers several rooms; no room but commands and study knows it.
GATHER = {"api", "cli", "demo", "inventory", "pipeline", "repetition", "__main__"}


def modules():
    """Dotted name -> file of every module."""
    names = {}
    for file in ROOT.rglob("*.py"):
        parts = ("fairexit", *file.relative_to(ROOT).with_suffix("").parts)
        names[".".join(parts).removesuffix(".__init__")] = file
    return names


MODULES = modules()


def imported(name):
    """The modules of fairexit that a module imports, wherever in the file."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fairexit"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def room_of(name):
    return name.split(".")[1] if name.count(".") else ""


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_lies_before_it(room):
    rooms = {p.name for p in ROOT.iterdir() if p.is_dir()}
    assert rooms - {"__pycache__"} == set(ALLOWED)
    for name in MODULES:
        if room_of(name) == room:
            wrong = (
                ({room_of(i) for i in imported(name)} & rooms) - ALLOWED[room] - {room, "tabular"}
            )
            assert not wrong, f"{name} imports {wrong}"


def test_no_file_imports_the_package_root_or_what_gathers_the_rooms():
    for name in MODULES:
        targets = set(imported(name)) - {name}
        assert "fairexit" not in targets, f"{name} imports the package root"
        if room_of(name) not in (*GATHER, "", "commands", "study"):
            wrong = {room_of(target) for target in targets} & GATHER
            assert not wrong, f"{name} imports {wrong}"


def test_no_files_import_each_other_in_a_circle():
    needs = {name: set(imported(name)) - {name} for name in MODULES}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_the_loop_imports_fabric():
    pattern = re.compile(r"^\s*(from|import) lightning", re.MULTILINE)
    users = sorted(p.name for p in ROOT.rglob("*.py") if pattern.search(p.read_text()))
    assert users == ["fit.py", "processes.py", "step.py", "trainer.py", "validate.py"]


def test_evaluating_a_file_imports_no_network(tmp_path):
    (tmp_path / "p.csv").write_text(
        "label,sex,prediction\na,f,a\nb,f,a\na,m,a\nb,m,b\n", encoding="utf-8"
    )
    code = (
        "import sys\n"
        f"sys.argv = ['fairexit', 'evaluate', {str(tmp_path / 'p.csv')!r}, '--group', 'sex']\n"
        "from fairexit import cli\n"
        "try: cli.main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'lightning', 'torchmetrics'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_names_load_lazily():
    code = "import sys, fairexit; assert 'torch' not in sys.modules; fairexit.create_model"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    import fairexit

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fairexit.nothing  # noqa: B018
