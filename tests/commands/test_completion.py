"""Shells complete commands and options."""

import os
import subprocess
import sys

import pytest

from fairexit.cli import COMMANDS, load_command

CALL = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'fairexit'; import fairexit.cli as c; c.main()",
]


def call(*words, **environment):
    return subprocess.run(
        [*CALL, *words], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )


def complete(*words):
    """What bash is offered for the last word."""
    environment = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = call(_FAIREXIT_COMPLETE="complete_bash", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_commands_are_completed():
    assert complete("fairexit", "pr") == [name for name in COMMANDS if name.startswith("pr")]
    assert complete("fairexit", "x") == []


def test_options_of_a_command_are_completed():
    options = {option for p in load_command("train").params for option in p.opts if "--" in option}
    assert set(complete("fairexit", "train", "--")) == options | {"--help"}
    assert complete("fairexit", "train", "--se") == ["--seeds", "--set"]


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".bash_completions/fairexit.sh"),
        ("zsh", ".zfunc/_fairexit"),
        ("fish", ".config/fish/completions/fairexit.fish"),
    ],
)
def test_completion_is_installed(tmp_path, shell, file):
    # Without this variable the option takes no value; the shell is that of the calling process.
    environment = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = call("--install-completion", shell, **environment)
    assert done.returncode == 0, done.stderr
    assert "_FAIREXIT_COMPLETE" in (tmp_path / file).read_text()
