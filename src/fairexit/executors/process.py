"""Run a task in a process of its own on this machine, and say in one line why it failed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fairexit.executors.child import DIVERGED
from fairexit.executors.task import Outcome, Task


class Processes:
    """The running processes of an executor, which can be killed together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._is_closed = False

    @contextmanager
    def started(self, process: "subprocess.Popen[str]") -> Iterator[None]:
        """Keep a process that has just been started, until the context ends."""
        with self._lock:
            self._running.add(process)
            if self._is_closed:
                process.kill()
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)

    def close(self) -> None:
        """Kill all processes, also those that are started later."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                process.kill()


def run_task(task: Task, processes: Processes) -> Outcome:
    """Run a task to its end."""
    began = time.perf_counter()
    try:
        status, output = _run_process(task, processes)
        error = _error_line(status, output)
    except OSError as failure:
        status, error = 2, f"{failure.filename or task.log}: {failure.strerror}"
    return Outcome(task, error, status == DIVERGED, time.perf_counter() - began)


def _run_process(task: Task, processes: Processes) -> tuple[int, str]:
    """The exit status and the output of the task's process."""
    log = task.folder / task.log
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(task.threads), "MKL_NUM_THREADS": str(task.threads)}
    with log.open("a+b") as out:
        start = out.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [sys.executable, "-u", *task.program],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=task.folder,
            env=os.environ | threads,
            text=True,
        )
        with processes.started(process):
            assert process.stdin is not None
            try:
                # The pipe stays open until the task ends; if it closes earlier, the task stops.
                process.stdin.write(json.dumps(task.payload) + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass
            status = process.wait()
        out.seek(start)
        return status, out.read().decode(errors="replace").strip()


def _error_line(status: int, output: str) -> str | None:
    """Why a process failed, from its exit status and output; None for success."""
    if status == 0:
        return None
    if status < 0:
        return f"its process was killed ({signal.Signals(-status).name})"
    if not output:
        return f"its process ended with status {status} and no message"
    return output.splitlines()[-1]
