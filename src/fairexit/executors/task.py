"""A task, its outcome, and what everything that runs tasks has in common."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class Task:
    """A piece of work with a Python process of its own, which `executors.child` describes.

    Tasks are independent of each other and can be repeated: one that was killed resumes.

    Attributes:
        name: its name in messages.
        program: arguments of the Python interpreter, such as `("-m", "fairexit.study.job")`.
        payload: what the process reads from standard input, for JSON. `plugins`, if it is there,
            are the plugin files to load.
        log: file to which the output of the process is appended.
        threads: CPU threads.
        device: where the task computes, as in `train.device`; `cpu` takes no GPU.
        devices: number of devices that it computes on.
        folder: the current folder of the process.
    """

    name: str
    program: tuple[str, ...]
    payload: dict[str, Any]
    log: Path
    threads: int = 1
    device: str = "auto"
    devices: int = 1
    folder: Path = field(default_factory=Path.cwd)


class Outcome(NamedTuple):
    """How a task ended.

    Attributes:
        task: the task.
        error: why it failed, in one line; None for success.
        has_diverged: whether it failed because a training diverged.
        seconds: how long it took.
    """

    task: Task
    error: str | None
    has_diverged: bool
    seconds: float


class Executor(Protocol):
    """What runs tasks.

    Attributes:
        is_local: whether tasks run on this machine.
        workers: number of tasks at a time.
        threads: CPU threads of each task.
    """

    is_local: bool
    workers: int
    threads: int

    def run(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        """Run the tasks, and yield the outcome of each as it ends.

        Tasks are taken as there is capacity for them. When the iterator is closed, the tasks that
        are still running are killed.
        """
