"""Reference pages that are made from the package, so that they never fall behind it."""

from html import escape
from importlib import import_module
from types import ModuleType
from typing import Any

from mkdocs.structure.files import File, Files
from typer import Context

from fairexit.cli import COMMANDS, load_command

API = {
    "fairexit": "Functions that do what a command does have its name and its defaults. Names load "
    "when they are first used, so what works on tables needs no torch.",
    "fairexit.metrics": "Functions of counts, `counts[..., group, true class, predicted class]`, "
    "functions of scores, and functions of labels and predictions in the form of scikit-learn and "
    "fairlearn. [Metrics](../metrics.md) explains what they mean.",
    "fairexit.runtime": "Runs [exported models](../export.md) with NumPy, Pillow and onnxruntime.",
}


def public_names(module: ModuleType) -> list[str]:
    """The public names of a module: those of `__all__`, or its own that `dir` lists."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__, key=str.lower)
    homes = {name: getattr(getattr(module, name), "__module__", "") for name in dir(module)}
    return sorted(name for name, home in homes.items() if (home or "").startswith("fairexit."))


def api_page(name: str) -> str:
    """The page of a module: a directive of mkdocstrings for each public name."""
    directives = [f"::: {name}.{public}" for public in public_names(import_module(name))]
    return "\n\n".join([f"# {name}", API[name], *directives]) + "\n"


def _cell(text: str) -> str:
    # Python-Markdown keeps the backslash of an escaped bar in code.
    return " ".join(escape(text).replace("|", "&#124;").split())


def command_section(name: str) -> str:
    """The help of a command as Markdown."""
    command = load_command(name)
    ctx = Context(command, info_name=f"fairexit {name}")
    usage = " ".join([f"fairexit {name}", *command.collect_usage_pieces(ctx)])
    rows = [param.get_help_record(ctx) for param in command.get_params(ctx)]
    table = [f"| <code>{_cell(row[0])}</code> | {_cell(row[1])} |" for row in rows if row]
    example = (command.epilog or "").removeprefix("Example:").strip()
    parts = [
        f"## {name}",
        command.help or "",
        f"    {usage}",
        "\n".join(["| Option | What it does |", "| --- | --- |", *table]),
        f"For example:\n\n    {example}",
    ]
    return "\n\n".join(parts)


def commands_page() -> str:
    """What `--help` says of every command."""
    introduction = (
        "What `fairexit COMMAND --help` says. An error of the user is one line on standard error "
        "and exit status 2; an interrupted command has status 130, and the same command resumes it."
    )
    return "\n\n".join(["# Commands", introduction, *map(command_section, COMMANDS)]) + "\n"


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages."""
    files.append(File.generated(config, "commands.md", content=commands_page()))
    for name in API:
        page = f"api/{name.rpartition('.')[2]}.md"
        files.append(File.generated(config, page, content=api_page(name)))
    return files
