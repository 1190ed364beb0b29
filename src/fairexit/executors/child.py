"""The process of a task: read the payload, do the work, and end with the executor."""

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from fairexit.errors import DivergedError, UserError
from fairexit.plugins import load_plugins
from fairexit.terminal import note

DIVERGED = 3
"""Exit status of a task whose training diverged."""


def main(work: Callable[[dict[str, Any]], None], setting: Callable[[str], str]) -> int:
    """Read a payload from standard input and do the work.

    Standard input stays open as long as the process that waits for this one lives; when it closes,
    this process stops.

    Args:
        work: what is done with the payload.
        setting: how messages name a parameter.
    Returns:
        The exit status: 2 for an error of the user or the file system, printed in one line, and 3
        for a training that diverged.
    """
    payload = json.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        load_plugins(payload.get("plugins", ()))
        work(payload)
    except UserError as error:
        note(error.render(setting))
        return DIVERGED if isinstance(error, DivergedError) else 2
    except OSError as error:
        note(f"{error.filename or payload.get('out', 'a file')}: {error.strerror}")
        return 2
    return 0


def _exit_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)
