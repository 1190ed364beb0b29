"""Names for classes: a package is scanned, and what registers itself there can be chosen by name.

A registered class takes its options as keyword-only arguments; their type hints are the schema
against which values from YAML or the command line are checked.
"""

import importlib
import inspect
import math
import pkgutil
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fairexit.errors import UserError, nearest, short

T = TypeVar("T")
C = TypeVar("C")


@dataclass(frozen=True)
class Option:
    """A keyword-only argument of a registered class."""

    name: str
    hint: Any
    default: Any
    required: bool


class Registry(Generic[T]):
    """Classes of one kind by name.

    Args:
        kind: what one entry is called in messages ("method").
        package: dotted name of the package whose modules are imported at the first look-up.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, type[T]] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[type[C]], type[C]]:
        """Class decorator that enters a class under `name`."""

        def enter(cls: type[C]) -> type[C]:
            if name in self._entries:
                raise ValueError(f"two entries named {self.kind} '{name}'")
            self._entries[name] = typing.cast(type[T], cls)
            return cls

        return enter

    def names(self) -> list[str]:
        """All names, sorted."""
        self._scan()
        return sorted(self._entries)

    def __getitem__(self, name: str) -> type[T]:
        self._scan()
        if name not in self._entries:
            raise UserError(
                f"there is no {self.kind} '{short(name)}'; {nearest(name, self._entries)}"
            )
        return self._entries[name]

    def options(self, name: str) -> dict[str, Option]:
        """The options of one entry, in the order of its signature."""
        cls = self[name]
        hints = typing.get_type_hints(cls.__init__, include_extras=True)
        return {
            p.name: Option(p.name, hints.get(p.name, Any), p.default, p.default is p.empty)
            for p in inspect.signature(cls).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }

    def check(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        """Options as the entry's type hints want them.

        Raises:
            UserError: an unknown option, a missing one, or a value of the wrong type.
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
                problem = error.errors()[0]["msg"].lower()
                raise UserError(
                    f"{self.kind} '{name}': option '{key}' is {short(repr(value))}: {problem}"
                ) from None
            # Pydantic reads true as 1, and infinity as a number like any other.
            is_flag = isinstance(value, bool) and not isinstance(checked[key], bool)
            if is_flag or checked[key] in (math.inf, -math.inf):
                wanted = "cannot be true or false" if is_flag else "must be finite"
                raise UserError(f"{self.kind} '{name}': option '{key}' is {value!r}; it {wanted}")
        return checked

    def create(self, name: str, /, *args: Any, **options: Any) -> T:
        """Build one entry with checked options."""
        return self[name](*args, **self.check(name, options))

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
