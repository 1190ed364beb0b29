"""Registries: classes that are registered under a name can be chosen by that name.

A registry fills itself at the first look-up: it imports the modules of its package and the plugins
of installed packages. A registered class takes its options as keyword-only arguments; their type
hints are the schema against which values from YAML or the command line are checked.
"""

import importlib
import inspect
import math
import pkgutil
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from fairexit.contracts import check_class
from fairexit.errors import UserError, nearest, problem, reason, short
from fairexit.plugins import FAIREXIT, Origin, load_installed, origin_of, owner

T = TypeVar("T")
C = TypeVar("C")


class UnknownNameError(UserError):
    """A name under which nothing is registered; a plugin may be missing."""


@dataclass(frozen=True)
class Option:
    """A keyword-only argument of a registered class.

    Attributes:
        name: the argument's name.
        hint: its type hint.
        default: its default, `inspect.Parameter.empty` where it has none.
        required: whether it has no default.
    """

    name: str
    hint: Any
    default: Any
    required: bool


@dataclass(frozen=True)
class _Entry(Generic[T]):
    """A registered class and the plugin that registered it."""

    cls: type[T]
    plugin: Origin | None

    @property
    def origin(self) -> Origin:
        return self.plugin or origin_of(self.cls)

    def is_redefined_by(self, cls: type) -> bool:
        """Whether `cls` is this class again.

        This is so if a notebook's cell runs twice, or if a plugin file was imported as a plain
        module before.
        """
        if self.cls.__qualname__ != cls.__qualname__:
            return False
        if self.cls.__module__ == cls.__module__:
            return True
        return self.plugin is None and _file(self.cls) == _file(cls) is not None


def _file(cls: type) -> Path | None:
    """The file that defines a class."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).resolve() if file else None


class Registry(Generic[T]):
    """Classes of one kind, by name.

    Args:
        kind: how messages call an entry, such as "method".
        package: dotted name of the package whose modules are imported at the first look-up.
        base: the class of which every entry is a subclass; None for entries that are not classes
            but have `__module__` and `__qualname__`, which say where they come from.
        arguments: names of the positional arguments that `create` passes on.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        base: type[Any] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.base = base
        self.arguments = arguments
        self._package = package
        self._entries: dict[str, _Entry[T]] = {}
        self._is_complete = self._is_importing = False

    def register(self, name: str) -> Callable[[type[C]], type[C]]:
        """Class decorator that registers a class under `name`.

        Raises:
            UserError: the name is taken, or the class does not fit the registry.
        """
        if not isinstance(name, str):
            raise UserError(f"a {self.kind} is registered under a name: register('own')")

        def enter(cls: type[C]) -> type[C]:
            if self.base is not None:
                check_class(f"{self.kind} '{name}'", cls, self.base, self.arguments)
            is_outside = origin_of(cls) != FAIREXIT
            if is_outside:
                self._import_package()  # so that the names of built-in entries are taken
            existing = self._entries.get(name)
            if existing is not None and not existing.is_redefined_by(cls):
                raise UserError(
                    f"{self.kind} '{name}' is registered already, by {existing.origin}; choose "
                    "another name"
                )
            plugin = owner(lambda: self._remove(name)) if is_outside else None
            self._entries[name] = _Entry(typing.cast(type[T], cls), plugin)
            return cls

        return enter

    def names(self) -> list[str]:
        """All names, sorted."""
        self._fill()
        return sorted(self._entries)

    def __getitem__(self, name: str) -> type[T]:
        """The class that is registered under `name`.

        Raises:
            UnknownNameError: nothing is registered under this name.
        """
        self._fill()
        if name not in self._entries:
            raise UnknownNameError(
                f"there is no {self.kind} '{short(name)}'; {nearest(name, self._entries)}"
            )
        return self._entries[name].cls

    def origin(self, name: str) -> Origin:
        """The package, plugin file or installed package that an entry comes from."""
        self[name]  # raises the error for an unknown name
        return self._entries[name].origin

    def options(self, name: str) -> dict[str, Option]:
        """The options of an entry, in the order of its signature."""
        cls = self[name]
        try:
            hints = typing.get_type_hints(cls.__init__, include_extras=True)
        except Exception as error:
            raise UserError(
                f"{self.kind} '{name}': the type hints of {cls.__name__} cannot be read "
                f"({reason(error)})"
            ) from None
        return {
            p.name: Option(p.name, hints.get(p.name, Any), p.default, p.default is p.empty)
            for p in inspect.signature(cls).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }

    def check(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        """Check options against an entry's type hints.

        Args:
            name: the entry.
            options: values by option name.
        Returns:
            The options, converted to the types of the hints.
        Raises:
            UserError: an option is unknown or missing, or a value has the wrong type.
        """
        from pydantic import TypeAdapter, ValidationError

        known = self.options(name)
        for key in options:
            if key not in known:
                hint = nearest(key, known) if known else "it has none"
                raise UserError(f"{self.kind} '{name}' has no option '{short(key)}'; {hint}")
        for option in known.values():
            if option.required and option.name not in options:
                raise UserError(f"{self.kind} '{name}' needs the option '{option.name}'")
        checked = {}
        for key, value in options.items():
            try:
                checked[key] = TypeAdapter(known[key].hint).validate_python(value)
            except ValidationError as error:
                raise UserError(
                    f"{self.kind} '{name}': option '{key}' is {short(repr(value))}; "
                    f"{problem(error.errors()[0])}"
                ) from None
            # Pydantic converts true to 1 and accepts infinity as a number.
            is_flag = isinstance(value, bool) and not isinstance(checked[key], bool)
            if is_flag or checked[key] in (math.inf, -math.inf):
                rule = "cannot be true or false" if is_flag else "must be finite"
                raise UserError(f"{self.kind} '{name}': option '{key}' is {value!r}; it {rule}")
        return checked

    def create(self, name: str, /, *args: Any, **options: Any) -> T:
        """Build an instance of an entry, with options that `check` has converted."""
        return self[name](*args, **self.check(name, options))

    def _fill(self) -> None:
        """Import the package and the plugins; a failed import is repeated at the next look-up."""
        if self._is_complete or self._is_importing:
            return
        self._import_package()
        self._is_complete = load_installed()

    def _import_package(self) -> None:
        if self._is_importing or self._is_complete:
            return
        self._is_importing = True
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
        finally:
            self._is_importing = False

    def _remove(self, name: str) -> None:
        self._entries.pop(name, None)
