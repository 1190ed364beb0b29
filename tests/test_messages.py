"""Messages of the library: no command line in them, and every option is one that there is."""

import ast
import pickle
import re
from pathlib import Path

import pytest

import fairexit
from fairexit import cli
from fairexit.errors import DivergedError, UserError, nearest, option, short

HOME = Path(fairexit.__file__).parent
COMMAND_LINE = re.compile(r"(^|[\s\"'(`])--[a-z]")


def library():
    """The syntax tree of every file that is not part of the command line."""
    for path in sorted(HOME.rglob("*.py")):
        name = path.relative_to(HOME).as_posix()
        if not name.startswith("commands/") and name not in ("cli.py", "__main__.py"):
            yield name, ast.parse(path.read_text())


def strings(tree):
    """The string constants of a file, docstrings and the parts of f-strings among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_the_library_does_not_speak_command_line():
    files = dict(library())
    assert len(files) > 100
    wrong = [
        f"{name}:{line}: {text}"
        for name, tree in files.items()
        for line, text in strings(tree)
        if COMMAND_LINE.search(text)
    ]
    assert not wrong


@pytest.mark.parametrize(
    "code", ['"""As in `--set`."""', 'f"--out {x}: no"', '"choose another --out"', '"(--json)"']
)
def test_a_command_line_word_would_be_seen(code):
    assert any(COMMAND_LINE.search(text) for _, text in strings(ast.parse(code)))


def named_options():
    """Every parameter that a message of the library names by a literal."""
    for name, tree in library():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "option":
                (argument,) = node.args
                if isinstance(argument, ast.Constant):
                    yield name, argument.value


def test_the_command_line_has_every_option_that_a_message_names():
    commands = [cli.load_command(name) for name in cli.COMMANDS]
    declared = {text for command in commands for p in command.params for text in p.opts}
    named = [*named_options()]
    assert len(named) > 40
    assert not [f"{file}: {name}" for file, name in named if cli.option_name(name) not in declared]


def test_each_front_end_writes_options_in_its_own_way():
    error = UserError(f"set {option('split_file')} or {option('changes')}")
    assert str(error) == "set 'split_file' or 'changes'"
    assert error.render(cli.option_name) == "set --split-file or --set"
    assert error.render("policy.{}".format) == "set policy.split_file or policy.changes"


def test_an_error_keeps_its_class_and_its_options_where_a_place_is_added():
    error = DivergedError(f"choose another {option('out')}").at("run a")
    assert type(error) is DivergedError
    assert str(error) == "run a: choose another 'out'"
    assert error.at("s.yaml").render(cli.option_name) == "s.yaml: run a: choose another --out"


def test_an_error_keeps_its_options_on_the_way_between_processes():
    error = pickle.loads(pickle.dumps(UserError(f"fewer {option('workers')}")))
    assert error.render(cli.option_name) == "fewer --workers"


def test_long_values_and_lists_are_cut_off():
    assert short("x" * 80) == "x" * 80
    assert short("x" * 81) == "x" * 77 + "..."
    assert len(nearest("?", [f"class {n:03}" for n in range(500)])) < 320
