"""Temporary files beside the files that they will replace, and removal of abandoned ones."""

import os
import re
import shutil
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())[:40] or "host"
ABANDONED = 86_400.0
"""Seconds since its last change after which the temporary file of another host is abandoned."""


def partial_path(path: Path) -> Path:
    """The temporary path of this thread for a file, `.NAME.HOST.PID-THREAD.partial` beside it."""
    owner = f"{os.getpid()}-{threading.get_native_id()}"
    return path.with_name(f".{path.name}.{HOST}.{owner}.partial")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files and folders that killed processes have left for `path`.

    A process of this host is known to be dead by its number. On a shared disk the processes of
    other hosts cannot be seen, so what they left is removed a day after its last change. Files of
    other users are kept.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.([A-Za-z0-9-]+)\.(\d+)(?:-\d+)?\.partial")
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is None:
                continue
            with suppress(OSError):
                if _is_abandoned(entry.stat(follow_symlinks=False), match[1], int(match[2])):
                    _remove(Path(entry.path))


def _is_abandoned(status: os.stat_result, host: str, pid: int) -> bool:
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return False
    if host == HOST and not _is_running(pid):
        return True
    return time.time() - status.st_mtime > ABANDONED


def _is_running(pid: int) -> bool:
    """Whether a process of this host runs; where that cannot be asked, it counts as running."""
    if os.name != "posix":
        return True  # elsewhere os.kill ends the process
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
