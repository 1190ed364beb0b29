"""What `--help` promises: every default, a full sentence for every option, and an example."""

import inspect
import shlex
from dataclasses import fields

import pytest

from fairexit.cli import COMMANDS, load_command
from fairexit.config_files import build_prune
from fairexit.config_prune import PruneConfig
from fairexit.data.prepare import PrepareOptions
from fairexit.errors import UserError

WIDE = {"COLUMNS": "220", "TERMINAL_WIDTH": "220"}


def parameters(name):
    """The arguments and options of a command by the name of their parameter, without --help."""
    return {p.name: p for p in load_command(name).params if p.name != "help"}


def parse(name, words):
    """The values that a command line gives to the parameters of its command."""
    return load_command(name).make_context(name, list(words)).params


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_each_default_and_ends_with_an_example_that_parses(name, command, monkeypatch):
    for key, value in WIDE.items():
        monkeypatch.setenv(key, value)
    # Some versions of Typer read the width when they are imported.
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 220)
    status, printed, _ = command(name, "--help")
    assert status == 0
    text = " ".join(printed.replace("│", " ").split())
    for parameter in parameters(name).values():
        help_text = " ".join(parameter.help.split())
        assert help_text[0].isupper(), parameter.name
        assert help_text.endswith("."), parameter.name
        at = text.find(help_text)
        assert at >= 0, f"{parameter.name}: {help_text}"
        after = text[at + len(help_text) :].lstrip()
        if parameter.required:
            assert after.startswith("[required]"), parameter.name
        elif isinstance(parameter.show_default, str):
            assert after.startswith(f"[default: ({parameter.show_default})]"), parameter.name
        elif parameter.default is not False:
            shown = parameter.default
            if shown is True:
                shown = parameter.opts[0].removeprefix("--")
            assert after.startswith(f"[default: {shown}]"), parameter.name
    _, _, example = text.partition("Example: ")
    words = shlex.split(example)
    assert words[:2] == ["fairexit", name]
    assert len(example) <= 76, "it would be broken over two lines of a terminal"
    parse(name, words[2:])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name):
    assert load_command(name).help.split("\n")[0] == COMMANDS[name]


def test_the_options_of_a_pruning_are_its_settings(command, monkeypatch):
    asked = []

    def prune(run, out, **settings):
        asked.append(settings)
        raise UserError("asked")

    monkeypatch.setattr("fairexit.api.training.prune", prune)
    given = ["--no-stop", "--one-shot", "--layer", "heads", "--layer", "x", "--ratio", "0.4"]
    assert command("prune", "run", "--out", "out")[2] == "fairexit: asked\n"
    assert command("prune", "run", "--out", "out", *given)[2] == "fairexit: asked\n"
    plain, changed = asked
    assert list(plain) == [field.name for field in fields(PruneConfig)]
    assert build_prune(plain) == PruneConfig()
    assert build_prune(changed) == PruneConfig(
        stop=False, one_shot=True, layers=["heads", "x"], ratio=0.4
    )
    command("prune", "run", "--out", "out", "--beta", "0.1,0.2")
    assert build_prune(asked[-1]) == PruneConfig(beta=[0.1, 0.2])


def defaults(function):
    """Parameter -> default of a function."""
    return {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.default is not p.empty
    }


@pytest.mark.parametrize("name", ["train", "predict", "export", "evaluate", "choose", "audit"])
def test_a_command_and_its_function_have_the_same_defaults(name):
    import fairexit

    values = {key: p.default for key, p in parameters(name).items() if not p.required}
    shared = values.keys() & defaults(getattr(fairexit, name)).keys()
    assert shared
    for key in shared:
        own = defaults(getattr(fairexit, name))[key]
        # A column that is not named, and an option that is not repeated, may be none or empty.
        assert values[key] == own or not own, key


def test_an_audit_and_a_preparation_have_the_defaults_of_their_settings():
    from fairexit.auditing.settings import AuditSettings

    audit, settings = parameters("audit"), AuditSettings()
    assert audit["resamples"].default == settings.n_resamples
    assert max(audit["resamples"].default // 10, 100) == settings.n_gap_resamples
    assert audit["score_resamples"].default == settings.n_score_resamples
    assert audit["permutations"].default == settings.n_permutations
    assert audit["confidence_level"].default == settings.confidence_level
    assert audit["specificity"].default == settings.specificity
    assert audit["interval"].default == settings.method
    assert audit["seed"].default == settings.random_state
    prepare, options = parameters("prepare"), PrepareOptions()
    for name in vars(options).keys() & prepare.keys():
        assert prepare[name].default == getattr(options, name), name
