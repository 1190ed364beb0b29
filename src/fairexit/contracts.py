"""What a registry asks of a class: its base, its constructor, and the methods that it overrides."""

import inspect
from inspect import Parameter, Signature
from typing import Any

from fairexit.errors import UserError

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def check_class(what: str, cls: Any, base: type, arguments: tuple[str, ...]) -> None:
    """Check that a class can take its place in a registry.

    Args:
        what: the entry as messages name it.
        cls: the class.
        base: what it must be a subclass of.
        arguments: names of the positional arguments of its constructor.
    Raises:
        UserError: another kind of class, an abstract one, or a signature that does not fit.
    """
    where = f"{base.__module__}.{base.__name__}"
    if not isinstance(cls, type) or not issubclass(cls, base):
        name = getattr(cls, "__name__", repr(cls))
        raise UserError(f"{what}: {name} is not a subclass of {where}")
    if absent := sorted(getattr(cls, "__abstractmethods__", ())):
        raise UserError(f"{what}: {cls.__name__} does not define {', '.join(absent)}, see {where}")
    _check_constructor(what, cls, arguments)
    for name, wanted in vars(base).items():
        # A static or class method has no self to compare.
        own = inspect.getattr_static(cls, name)
        if not name.startswith("_") and inspect.isfunction(wanted) and inspect.isfunction(own):
            _check_override(f"{what}: {cls.__name__}.{name}", own, wanted)


def _check_constructor(what: str, cls: type, arguments: tuple[str, ...]) -> None:
    parameters = inspect.signature(cls).parameters.values()
    if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
        return
    taken = [p.name for p in parameters if p.kind in POSITIONAL]
    if len(taken) != len(arguments):
        raise UserError(
            f"{what}: the positional arguments of {cls.__name__} must be "
            f"({', '.join(arguments)}), not ({', '.join(taken)}); options are keyword-only, after *"
        )


def _check_override(what: str, own: Any, wanted: Any) -> None:
    """Raise a UserError unless a method can be called as the one that it overrides."""
    called = inspect.signature(wanted)
    try:
        positional = [p for p in called.parameters.values() if p.kind in POSITIONAL]
        keywords = [p for p in called.parameters if p not in {q.name for q in positional}]
        inspect.signature(own).bind(*positional, **dict.fromkeys(keywords))
    except TypeError:
        raise UserError(
            f"{what}{_names(inspect.signature(own))} must take {_names(called)}"
        ) from None


def _names(signature: Signature) -> str:
    """A signature without annotations."""
    plain = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=Signature.empty))
