"""The checks of a class before it is registered: base, constructor and overridden methods."""

import inspect
from inspect import Parameter, Signature
from typing import Any

from fairexit.errors import UserError

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def check_class(entry: str, cls: Any, base: type, arguments: tuple[str, ...]) -> None:
    """Check that a class fits a registry.

    Args:
        entry: the entry as messages show it.
        cls: the class.
        base: the class of which it must be a subclass.
        arguments: names of the positional arguments that its constructor must take.
    Raises:
        UserError: the class is not a subclass of `base`, is abstract, or has a constructor or
            method whose signature does not fit.
    """
    where = f"{base.__module__}.{base.__name__}"
    if not isinstance(cls, type) or not issubclass(cls, base):
        name = getattr(cls, "__name__", repr(cls))
        raise UserError(f"{entry}: {name} is not a subclass of {where}")
    if absent := sorted(getattr(cls, "__abstractmethods__", ())):
        raise UserError(f"{entry}: {cls.__name__} does not define {', '.join(absent)}, see {where}")
    _check_constructor(entry, cls, arguments)
    for name, inherited in vars(base).items():
        # A static or class method has no self to compare.
        method = inspect.getattr_static(cls, name)
        if name.startswith("_") or not inspect.isfunction(inherited):
            continue
        if inspect.isfunction(method):
            _check_override(f"{entry}: {cls.__name__}.{name}", method, inherited)


def _check_constructor(entry: str, cls: type, arguments: tuple[str, ...]) -> None:
    """Raise a UserError unless the constructor takes just these positional arguments."""
    parameters = inspect.signature(cls).parameters.values()
    if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
        return
    taken = [p.name for p in parameters if p.kind in POSITIONAL]
    if len(taken) != len(arguments):
        raise UserError(
            f"{entry}: the positional arguments of {cls.__name__} must be "
            f"({', '.join(arguments)}), not ({', '.join(taken)}); options are keyword-only, after *"
        )


def _check_override(shown: str, method: Any, inherited: Any) -> None:
    """Raise a UserError unless a method can be called as the one that it overrides."""
    signature, expected = inspect.signature(method), inspect.signature(inherited)
    try:
        positional = [p for p in expected.parameters.values() if p.kind in POSITIONAL]
        keywords = [p for p in expected.parameters if p not in {q.name for q in positional}]
        signature.bind(*positional, **dict.fromkeys(keywords))
    except TypeError:
        raise UserError(f"{shown}{_plain(signature)} must take {_plain(expected)}") from None


def _plain(signature: Signature) -> str:
    """A signature without annotations, as text."""
    plain = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=Signature.empty))
