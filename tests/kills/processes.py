"""Calls of the command line in processes that are forked from this one, which has no threads.

So a call is a process of its own, which a signal ends like any other, but starts at once.
"""

import atexit
import os
import re
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fairexit import cli

LONGEST = 300.0
"""Seconds after which a call hangs."""
GRACE = 15.0
"""Seconds in which the other processes of a call must end after it."""
SHARED_MEMORY = Path("/dev/shm")
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
"""Audit events of Python before operations on files."""


@dataclass(frozen=True)
class Disturbance:
    """Something that happens once to a call.

    Attributes:
        act: takes the number of the call's process.
        seconds: when it happens, in seconds after the start.
        operation: or before which operation on a file in the folder of the call, from 1.
    """

    act: Callable[[int], None]
    seconds: float | None = None
    operation: int | None = None


@dataclass(frozen=True)
class Ended:
    """How a call has ended.

    Attributes:
        status: the exit status; negative for a signal, None if it hung.
        out, errors: its output.
        seconds: how long it took.
        operations: the number of its operations on files in its folder.
        left: the processes that outlived it, and its shared memory.
    """

    status: int | None
    out: str
    errors: str
    seconds: float
    operations: int
    left: tuple[str, ...]


def call(
    words: list[str], folder: Path, *, beside: Path, how: Disturbance | None = None, size: int = 0
) -> Ended:
    """Run a command line in a process of its own and wait for its end.

    Args:
        words: its words.
        folder: where it runs.
        beside: folder for its output and its temporary files.
        how: what happens to it.
        size: largest size of a file in bytes, 0 for no limit.
    """
    (beside / "tmp").mkdir(parents=True, exist_ok=True)
    (beside / "operations").write_text("0")
    ready, begun = os.pipe()
    shared = {*SHARED_MEMORY.iterdir()}
    pid = os.fork()
    if not pid:
        _become(words, folder, beside, how=how, size=size, begun=begun)
    os.close(begun)
    os.read(ready, 1)
    os.close(ready)
    start = time.perf_counter()
    end = os.pidfd_open(pid)
    try:
        if how and how.seconds is not None and not select.select([end], [], [], how.seconds)[0]:
            how.act(pid)
        hung = not select.select([end], [], [], LONGEST)[0]
    finally:
        os.close(end)
    if hung:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seconds = time.perf_counter() - start
    left = (*_end_session(pid), *_new_memory(shared))
    out, errors = ((beside / name).read_text(errors="replace") for name in ("out", "errors"))
    operations = int((beside / "operations").read_text())
    return Ended(None if hung else status, out, errors, seconds, operations, left)


def _become(
    words: list[str],
    folder: Path,
    beside: Path,
    *,
    how: Disturbance | None,
    size: int,
    begun: int,
) -> NoReturn:
    """Turn a forked process into a call of the command line."""
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        for name, number in (("out", 1), ("errors", 2)):
            os.dup2(os.open(beside / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ["TMPDIR"] = str(beside / "tmp")
        if size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        counter = _Operations(folder, how)
        sys.addaudithook(counter)
        sys.argv = ["fairexit", *words]
        try:
            os.write(begun, b".")
            os.close(begun)
            cli.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        counter.is_over = True
        (beside / "operations").write_text(str(counter.number))
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class _Operations:
    """Counts the operations on files in a folder, and disturbs before one of them."""

    def __init__(self, folder: Path, how: Disturbance | None) -> None:
        self.folder, self.how, self.pid = str(folder), how, os.getpid()
        self.number, self.is_over = 0, False

    def __call__(self, event: str, words: tuple[Any, ...]) -> None:
        if self.is_over or event not in OPERATIONS or os.getpid() != self.pid:
            return
        if isinstance(words[0], int) or not self._is_inside(os.fsdecode(words[0])):
            return
        self.number += 1
        if self.how and self.how.operation == self.number:
            self.is_over = True
            self.how.act(self.pid)

    def _is_inside(self, path: str) -> bool:
        return not path.startswith("/") or path.startswith(self.folder)


def _end_session(session: int) -> tuple[str, ...]:
    """Wait for the processes of a session, kill those that stay, and name them."""
    end = time.monotonic() + GRACE
    while (members := _session(session)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in members:
        os.kill(pid, signal.SIGKILL)
    return tuple(members.values())


def _new_memory(known: set[Path]) -> list[str]:
    """Shared memory that is new and belongs to no process that runs, such as one of another test.

    A process uses the memory that it has mapped, or whose name has its number.
    """
    new = [
        file
        for file in SHARED_MEMORY.iterdir()
        if file not in known
        and not any(Path("/proc", number).exists() for number in re.findall(r"\d{2,}", file.name))
    ]
    used = ""
    for maps in Path("/proc").glob("[0-9]*/maps") if new else ():
        with suppress(OSError):
            used += maps.read_text(errors="replace")
    return [str(file) for file in new if str(file) not in used and file.exists()]


def _session(session: int) -> dict[int, str]:
    """Number -> command of the processes of a session, but for those that only await their end."""
    members = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                rest = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if int(rest[3]) == session and rest[0] != "Z":
                members[int(entry.name)] = words.strip()
    return members
