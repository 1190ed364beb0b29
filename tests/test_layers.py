"""Imports run only against the arrow of the design; a table is evaluated without a network."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "fairexit"

# What each room may import, besides itself and the top-level modules.
ALLOWED = {
    "evaluation": set(),
    "data": set(),
    "models": set(),
    "losses": set(),
    "methods": {"models", "losses"},
    "training": {"data", "models", "methods", "evaluation"},
    "inference": {"data", "models", "losses", "methods", "training", "evaluation"},
    "auditing": {"data", "evaluation"},
    "report": {"data", "evaluation", "auditing"},
    "pruning": {"data", "models", "methods", "training", "inference", "evaluation"},
    "study": {
        "data",
        "models",
        "methods",
        "training",
        "inference",
        "evaluation",
        "auditing",
        "report",
        "pruning",
    },
    "commands": {
        "data",
        "training",
        "inference",
        "evaluation",
        "auditing",
        "report",
        "pruning",
        "study",
    },
}


def imported(file):
    """The fairexit rooms and modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fairexit"):
            names = (
                [node.module]
                if node.module != "fairexit"
                else [f"fairexit.{alias.name}" for alias in node.names]
            )
            yield from (name.split(".")[1] for name in names if "." in name)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_lies_before_it(room):
    rooms = {p.name for p in ROOT.iterdir() if p.is_dir()}
    assert rooms - {"__pycache__"} == set(ALLOWED)
    for file in (ROOT / room).rglob("*.py"):
        wrong = (set(imported(file)) & rooms) - ALLOWED[room] - {room}
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_only_the_loop_imports_fabric():
    pattern = re.compile(r"^\s*(from|import) lightning", re.MULTILINE)
    users = [p.name for p in ROOT.rglob("*.py") if pattern.search(p.read_text())]
    assert users == ["fit.py"]


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
