"""Messages for a plugin that cannot be imported: the problem, and its file and line."""

import traceback

from fairexit.errors import UserError, reason


def is_within(module: str, scope: str) -> bool:
    """Whether a module is `scope` or lies in the package of that name.

    >>> is_within("own.heads", "own"), is_within("owner", "own")
    (True, False)
    """
    return module == scope or module.startswith(f"{scope}.")


def describe(error: BaseException, scope: str, shown: str) -> str:
    """The end of a message: file and line where they are known, and the problem.

    Args:
        error: the exception of the import.
        scope: dotted name of the plugin's module or package.
        shown: the plugin as the message shows it; a file of this name is not repeated.
    """
    location = _location(error, scope)
    where = ""
    if location is not None:
        file, line = location
        where = f", line {line}" if file == shown else f", {file}, line {line}"
    return f"{where}: {_problem(error)}"


def _problem(error: BaseException) -> str:
    """What is wrong: the text of a `UserError`, or the kind and first line of another error."""
    if isinstance(error, UserError):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{kind}: {error.msg}"
    return f"{kind}: {reason(Exception(*error.args))}" if error.args else kind


def _location(error: BaseException, scope: str) -> tuple[str, int] | None:
    """File and number of the plugin's innermost line in the traceback, or of a syntax error."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if is_within(str(frame.f_globals.get("__name__")), scope)
    ]
    return lines[-1] if lines else None
