"""One case: disturb a command at random moments, call it again, and compare what it leaves."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from .base import Base
from .commands import Command
from .compare import compare
from .processes import Disturbance, Ended, call

SIGNALS = {"-9": signal.SIGKILL, "-TERM": signal.SIGTERM, "-INT": signal.SIGINT}
KINDS = {"-9": 8, "-TERM": 3, "-INT": 3, "disk": 4, "vanish": 4}
"""What disturbs -> its share of the cases."""
INTERRUPTED = 130
FOREIGN = ["TMPDIR/.ses"]
"""Temporary files of onnxruntime, which also leaves them if nothing disturbs it."""
DONE = re.compile(r"already exists|--overwrite")
"""The message of a command that never replaces what is complete."""
PAGE = 4096
MAPPED = ".npy"
"""Files that are memory-mapped are removed, never emptied: the system then ends whoever reads one
with SIGBUS, which no program can turn into an error."""
HALF = re.compile(r"\..*\.(partial|lock)")


@dataclass
class Outcome:
    """What came of a case.

    Attributes:
        command: its name.
        kind: what disturbed it.
        hits: how often it was disturbed before it was done.
        differing: what differs from the undisturbed result.
        left: files and processes that were left over.
        fault: how else it behaved wrongly; empty if it did not.
    """

    command: str
    kind: str
    hits: int
    differing: list[str]
    left: list[str]
    fault: str = ""


class Case:
    """A case in a folder of its own.

    Args:
        base: what the commands leave undisturbed.
        folder: an empty folder.
        command: the command.
        kind: a key of `KINDS`.
        rng: the source of all random choices.
    """

    def __init__(
        self, base: Base, folder: Path, command: Command, *, kind: str, rng: Random
    ) -> None:
        self.base, self.command, self.kind, self.rng = base, command, kind, rng
        self.here, self.beside = folder / "here", folder / "beside"
        self.undisturbed = base.undisturbed(command)
        self.outcome = Outcome(command.name, kind, 0, [], [])

    def run(self) -> Outcome:
        """Disturb, call again, compare."""
        self.here.mkdir()
        with disk(self.here) if self.kind == "disk" and can_mount() else nullcontext():
            self.base.fill(self.command, self.here)
            if self.kind in SIGNALS:
                self._kill()
            elif self.kind == "disk":
                self._fill_disk()
            else:
                self._vanish()
            if not self.outcome.fault:
                self._call_again()
        return self.outcome

    def _call(self, how: Disturbance | None = None, size: int = 0) -> Ended:
        ended = call(self.command.words.split(), self.here, beside=self.beside, how=how, size=size)
        self.outcome.left += [f"running or shared: {text}" for text in ended.left]
        if ended.status is None:
            self._blame("it hangs", ended)
        elif "Traceback" in ended.errors:
            self._blame("a traceback", ended)
        return ended

    def _blame(self, text: str, ended: Ended) -> None:
        self.outcome.fault = self.outcome.fault or (
            f"{text}; status {ended.status}\n{ended.errors[-3000:]}"
        )

    def _moment(self, act: Callable[[int], None], early: float = 1) -> Disturbance:
        """A random moment: a time, or just before an operation on a file.

        Args:
            act: what happens then.
            early: the power of a uniform number that is the share of the command that is done.
        """
        share = self.rng.random() ** early
        if self.rng.random() < 0.5:
            return Disturbance(act, seconds=share * self.undisturbed.seconds)
        return Disturbance(act, operation=1 + int(share * self.undisturbed.operations))

    def _kill(self) -> None:
        number = SIGNALS[self.kind]
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            ended = self._call(self._moment(lambda pid: os.kill(pid, number)))
            if self._is_done(ended):
                return
            self.outcome.hits += 1
            if number == signal.SIGINT:
                self._check_stop(ended, INTERRUPTED)
            elif ended.status != -number:
                self._blame("not ended by the signal", ended)
            if self.outcome.fault:
                return

    def _fill_disk(self) -> None:
        """Call on a disk that has too little space, then give it more.

        Where no file system can be mounted, the size of each file is limited instead.
        """
        before, after = files(self.here), files(self.base.folder / self.command.name)
        share = self.rng.random()
        if can_mount():
            used, needed = sum(before.values()), sum(after.values())
            resize(self.here, used + int(share * max(needed - used, PAGE)))
            ended = self._call()
            resize(self.here, 0)
        else:
            new = [size for name, size in after.items() if before.get(name) != size]
            ended = self._call(size=max(int(share * max(new, default=PAGE)), 1))
        if not self._is_done(ended):
            self.outcome.hits += 1
            self._check_stop(ended, 2)

    def _vanish(self) -> None:
        """Remove or empty an input in the middle, then put it back."""
        name, is_emptied = self.rng.choice(self.command.vanishing), self.rng.random() < 0.5
        is_emptied = is_emptied and not name.endswith(MAPPED)
        # Inputs are read early.
        act = partial(vanish, self.here / name, is_emptied)
        ended = self._call(self._moment(lambda _: act(), early=3))
        if not self._is_done(ended):
            self.outcome.hits += 1
            self._check_stop(ended, 2)
        self.base.fill(self.command, self.here, only=name)

    def _is_done(self, ended: Ended) -> bool:
        return ended.status == 0 or (ended.status == 2 and bool(DONE.search(ended.errors)))

    def _check_stop(self, ended: Ended, status: int) -> None:
        """Blame a command that stopped by itself, but not with this status and one line."""
        lines = [line for line in ended.errors.splitlines() if line.startswith("fairexit: ")]
        if ended.status != status or len(lines) != 1:
            self._blame(f"not status {status} and one line", ended)
        half = [file for file in self.here.rglob(".*") if HALF.fullmatch(file.name)]
        self.outcome.left += [str(file.relative_to(self.here)) for file in half]

    def _call_again(self) -> None:
        ended = self._call()
        if not self._is_done(ended):
            self._blame("called again it fails", ended)
            return
        differing, left = compare(self.here, self.base.folder / self.command.name)
        self.outcome.differing += differing
        temporary = [f"TMPDIR/{file.name}" for file in (self.beside / "tmp").iterdir()]
        temporary = [name for name in temporary if name not in FOREIGN]
        self.outcome.left += left + temporary


def vanish(path: Path, is_emptied: bool) -> None:
    """Remove a file or folder, or its content."""
    if path.is_dir():
        shutil.rmtree(path)
        if is_emptied:
            path.mkdir()
    elif is_emptied:
        path.write_bytes(b"")
    else:
        path.unlink(missing_ok=True)


@cache
def can_mount() -> bool:
    """Whether this process may mount a file system, which only root may."""
    folder = Path(mkdtemp())
    try:
        with disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        folder.rmdir()


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """A file system of its own in a folder, in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


def resize(folder: Path, size: int) -> None:
    """Set the size of the file system of a folder, in bytes; 0 for no limit."""
    words = ["mount", "-o", f"remount,size={size}", folder]
    subprocess.run(words, check=True, capture_output=True)


def files(folder: Path) -> dict[str, int]:
    """Path -> bytes that each file below a folder takes on a disk, in whole pages."""
    return {
        file.relative_to(folder).as_posix(): -(-file.stat().st_size // PAGE) * PAGE
        for file in folder.rglob("*")
        if file.is_file()
    }


def draw(rng: Random, commands: list[Command]) -> tuple[Command, str]:
    """A command and what disturbs it, by their shares."""
    command = rng.choices(commands, [command.share for command in commands])[0]
    kinds = {kind: n for kind, n in KINDS.items() if kind != "vanish" or command.vanishing}
    return command, rng.choices([*kinds], [*kinds.values()])[0]


def run_case(
    base: Base, folder: Path, seed: int, number: int, *, commands: list[Command]
) -> Outcome:
    """Run one case in an empty folder."""
    rng = Random(f"{seed}-{number}")
    command, kind = draw(rng, commands)
    return Case(base, folder, command, kind=kind, rng=rng).run()
