"""What went wrong in the import of a plugin, and in which line of it."""

import traceback

from fairexit.errors import UserError, reason


def is_within(module: str, scope: str) -> bool:
    """Whether a module is `scope` or lies in the package of that name.

    >>> is_within("own.heads", "own"), is_within("owner", "own")
    (True, False)
    """
    return module == scope or module.startswith(f"{scope}.")


def describe(error: BaseException, scope: str, shown: str) -> str:
    """The end of a message: file and line, unless they are not known, and what is wrong there.

    Args:
        error: what the import raised.
        scope: the module, or the package, that is the plugin's.
        shown: the plugin as the message names it; that file is not named again.
    """
    place = _place(error, scope)
    where = ""
    if place is not None:
        file, line = place
        where = f", line {line}" if file == shown else f", {file}, line {line}"
    return f"{where}: {_what(error)}"


def _what(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{kind}: {error.msg}"
    return f"{kind}: {reason(Exception(*error.args))}" if error.args else kind


def _place(error: BaseException, scope: str) -> tuple[str, int] | None:
    """The innermost line of the plugin, or the one that Python cannot read."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno
    steps = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if is_within(str(frame.f_globals.get("__name__")), scope)
    ]
    return steps[-1] if steps else None
