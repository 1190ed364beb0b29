"""Every setting of a run's configuration: type, default, allowed values and explanation.

All of it is read from the dataclasses of `fairexit.config` and from the classes of the registries.
"""

import dataclasses
import inspect
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from fairexit.config import DataConfig, ModelConfig, RunConfig
from fairexit.config_files import subsection
from fairexit.config_prune import TRAITS, PruneConfig
from fairexit.config_train import TrainConfig
from fairexit.docstrings import explanations
from fairexit.errors import UserError, nearest, short
from fairexit.extras import is_installed
from fairexit.metrics.record import METRICS
from fairexit.tables import Table

SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "prune": PruneConfig,
}
NO_DEFAULT = inspect.Parameter.empty
_NAMES = {
    int: ("whole number", "whole numbers"),
    float: ("number", "numbers"),
    str: ("text", "texts"),
    bool: ("true or false", "flags"),
    Path: ("path", "paths"),
    types.NoneType: ("null", "nulls"),
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of a run's configuration.

    Attributes:
        key: its name, such as `train.lr`.
        method: the method whose option it is; "" for a setting of every run.
        hint: its type hint.
        default: its default; `NO_DEFAULT` where it must be given.
        explanation: what it does.
    """

    key: str
    method: str
    hint: Any
    default: Any
    explanation: str

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is NO_DEFAULT

    @property
    def default_text(self) -> str:
        """The default as YAML writes it."""
        if self.required:
            return "required"
        value = str(self.default) if isinstance(self.default, Path) else self.default
        text: str = yaml.safe_dump(value, default_flow_style=True)
        return text.removesuffix("\n").removesuffix("\n...")

    def to_dict(self) -> dict[str, Any]:
        """The setting for JSON."""
        return {
            "key": self.key,
            "method": self.method or None,
            "type": type_text(self.hint),
            "required": self.required,
            "default": None if self.required else self.default,
            "allowed": allowed(self),
            "explanation": self.explanation,
        }


def settings(part: str | None = None) -> list[Setting]:
    """The settings of a run, or those of one part of it.

    Where torch is not installed, the options of the methods are left out.

    Args:
        part: a section such as `train`, or a setting such as `train.lr`.
    Raises:
        UserError: there is no such section or setting.
    """
    every = [*_of_class("", RunConfig)]
    for section, kind in SECTIONS.items():
        every += _of_class(section, kind)
        if section == "model":
            every += _of_methods()
    chosen = [s for s in every if part is None or s.key == part or s.key.startswith(f"{part}.")]
    if not chosen:
        known = {s.key.split(".")[0] for s in every} | {s.key for s in every}
        raise UserError(f"there is no setting '{short(part)}'; {nearest(str(part), known)}")
    return chosen


def setting_type(tree: dict[str, Any], key: str) -> Any:
    """The type hint of a setting.

    Args:
        tree: the settings of a run, which choose the method.
        key: the setting, such as `method.weight`.
    Raises:
        UserError: there is no such setting.
    """
    section, _, name = key.partition(".")
    if section == "method":
        from fairexit.methods import methods

        method = (tree.get("method") or {"name": "erm"})["name"]
        options = methods.options(method)
        if name not in options:
            hint = nearest(name, options) if options else "it has none"
            raise UserError(f"method '{method}' has no option '{short(name)}'; {hint}")
        return options[name].hint
    kind, field = (SECTIONS[section], name) if section in SECTIONS else (RunConfig, key)
    outer, _, inner = field.partition(".")
    if inner and (part := subsection(get_type_hints(kind).get(outer))) is not None:
        kind, field = part, inner
    hints = get_type_hints(kind)
    if field not in hints:
        raise UserError(f"unknown key '{short(key)}'; {nearest(field, hints)}")
    return hints[field]


def setting_tables(part: str | None = None) -> list[Table]:
    """The settings as tables, one for each section and for each method with options."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings(part):
        section = setting.key.partition(".")[0] if "." in setting.key else ""
        title = f"Options of method {setting.method}" if setting.method else section
        groups.setdefault(title or "The whole run", []).append(setting)
    columns = ["Setting", "Type", "Default", "Allowed", "Explanation"]
    return [Table(title, columns, [*map(_row, group)], 5) for title, group in groups.items()]


def _of_class(section: str, kind: type) -> Iterator[Setting]:
    """The fields of a dataclass that are not sections themselves."""
    hints, texts = get_type_hints(kind), explanations(kind)
    for field in dataclasses.fields(kind):
        if not section and field.name in (*SECTIONS, "method"):
            continue
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            default = NO_DEFAULT
        if field.name == "plugins":
            yield Setting("plugins", "", list[Path], [], texts["plugins"])
            continue
        key = f"{section}.{field.name}" if section else field.name
        hint = hints[field.name]
        yield Setting(key, "", hint, default, texts[field.name].replace("`", ""))
        if (part := subsection(hint)) is not None:
            yield from _of_class(key, part)


def _of_methods() -> Iterator[Setting]:
    """The name of the method, and the options of each."""
    yield Setting("method.name", "", str, "erm", "what each exit learns; see docs/methods.md.")
    if not is_installed("train"):
        return
    from fairexit.methods import methods

    for name in methods.names():
        texts = explanations(methods[name])
        for option in methods.options(name).values():
            text = texts.get(option.name, "").replace("`", "")
            yield Setting(f"method.{option.name}", name, option.hint, option.default, text)


def _row(setting: Setting) -> Sequence[str]:
    text = setting.explanation
    return [
        setting.key,
        type_text(setting.hint),
        setting.default_text,
        ", ".join(map(str, allowed(setting))),
        text[:1].upper() + text[1:],
    ]


def type_text(hint: Any) -> str:
    """A type in words.

    >>> type_text(float | list[float] | None)
    'number, list of numbers or null'
    """
    words = list(dict.fromkeys(_words(hint)))
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _words(hint: Any) -> Iterator[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield from _words(arguments[0])
    elif origin in (Union, types.UnionType):
        for argument in arguments:
            yield from _words(argument)
    elif origin is Literal:
        yield "word"
    elif origin is dict:
        yield "section"
    elif origin is list:
        yield f"list of {_NAMES[arguments[0]][1]}"
    elif origin is dict or dataclasses.is_dataclass(hint):
        yield "section"
    else:
        yield _NAMES[hint][0] if hint in _NAMES else str(getattr(hint, "__name__", hint))


def allowed(setting: Setting) -> list[str]:
    """The words that a setting can be, and the bounds of its numbers; empty where any will do."""
    if setting.key in ("method.name", "model.head"):
        if not is_installed("train"):
            return []
        from fairexit.methods import methods
        from fairexit.models import heads

        return methods.names() if setting.key == "method.name" else heads.names()
    if setting.key == "train.select":
        return ["loss", *METRICS]
    if setting.key == "prune.method":
        return [*TRAITS]
    return [*_allowed(setting.hint)]


def _allowed(hint: Any) -> Iterator[str]:
    if get_origin(hint) is Literal:
        yield from map(str, get_args(hint))
        return
    for part in getattr(hint, "__metadata__", ()):
        for name, words in _BOUNDS.items():
            if (bound := getattr(part, name, None)) is not None:
                yield f"{words} {bound}"
    for argument in get_args(hint):
        if get_args(argument):
            yield from _allowed(argument)
