"""Tasks on a Ray cluster whose nodes share the folders of this machine."""

import os
import socket
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from fairexit.errors import UserError, option, reason
from fairexit.executors.process import Processes, run_task
from fairexit.executors.task import Outcome, Task
from fairexit.terminal import note
from fairexit.version import __version__

ATTEMPTS = 4
"""How often a task is started before its lost workers count as a failure."""

ANSWER_WITHIN = 120.0
"""Seconds within which each node must answer before anything is started."""

PATIENCE = 30.0
"""Seconds without a node for any task, after which it is said."""


class RayCluster:
    """An executor, see `Executor`, that runs each task as a Ray task.

    A task whose worker or node is lost is started again, and resumes. Ray places tasks by their CPU
    threads and, where the cluster has GPUs and the task does not compute on the CPU, their share of
    a GPU.

    Args:
        ray: the module, connected to the cluster.
        threads: CPU threads of each task.
        gpus: GPUs of each task, which may be a share such as 0.5.
        marker: a file that a node must see before it runs a task.
    """

    is_local = False

    def __init__(self, ray: ModuleType, threads: int, gpus: float, marker: Path) -> None:
        self._ray, self.threads, self._marker = ray, threads, marker
        self._remote = ray.remote(_run_on_node)
        self._first_nodes = self.nodes()
        self.has_gpus = any(node["Resources"].get("GPU") for node in self._first_nodes)
        self._gpus = gpus if self.has_gpus else 0.0
        self.workers = self._capacity(threads, self._gpus)

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive and have CPUs for tasks."""
        nodes = self._ray.nodes()
        return [node for node in nodes if node["Alive"] and node["Resources"].get("CPU")]

    def _capacity(self, threads: int, gpus: float) -> int:
        """How many tasks of this size fit on the nodes with which the cluster was found.

        Raises:
            UserError: none fits, so that Ray would wait for ever.
        """
        total = 0
        for node in self._first_nodes:
            cpus, cards = (node["Resources"].get(name, 0) for name in ("CPU", "GPU"))
            fits = int(cpus // threads)
            total += min(fits, int(cards / gpus + 1e-9)) if gpus else fits
        if not total:
            amount = f"{threads} CPU{'s' * (threads > 1)}"
            if gpus:
                amount += f" and {gpus:g} GPU{'s' * (gpus > 1)}"
            raise UserError(
                f"no node of the Ray cluster has {amount}, which a task needs; lower "
                f"{option('threads')} or {option('gpus')}"
            )
        return total

    def check(self, paths: Sequence[Path]) -> None:
        """Check that every node sees the marker and the paths, and has this version of fairexit.

        Raises:
            UserError: a node does not; the message names the node and what is missing.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        wanted = [str(path.absolute()) for path in (self._marker, *paths)]
        probe = self._ray.remote(_probe)
        asked = {}
        for node in self.nodes():
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            placed = probe.options(num_cpus=0, max_retries=0, scheduling_strategy=here)
            ref = placed.remote(wanted)
            asked[ref] = f"node {node['NodeManagerAddress']} of the Ray cluster"
        for ref, name in asked.items():
            try:
                version, missing = self._ray.get(ref, timeout=ANSWER_WITHIN)
            except self._ray.exceptions.RayTaskError as error:
                raise UserError(f"{name} cannot run tasks: {reason(error.cause)}") from None
            except self._ray.exceptions.GetTimeoutError:
                raise UserError(f"{name} has not answered for {ANSWER_WITHIN:.0f} s") from None
            except self._ray.exceptions.RayError:
                continue  # the node was lost, and gets no task
            if version != __version__:
                raise UserError(
                    f"{name} has fairexit {version}, but this machine {__version__}; install the "
                    "same version on every node"
                )
            if missing:
                hidden = self._marker.parent if missing[0] == wanted[0] else missing[0]
                raise UserError(
                    f"{name} does not see {hidden}; it must lie in a folder that all nodes share"
                )

    def run(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        waiting = iter(tasks)
        running: dict[Any, tuple[Task, int]] = {}
        has_waited = False
        try:
            while True:
                # Some tasks wait at the cluster, so that a node never waits for this process.
                for task in islice(waiting, 2 * self.workers - len(running)):
                    running[self._submit(task)] = task, 1
                if not running:
                    return
                done, _ = self._ray.wait([*running], num_returns=1, timeout=PATIENCE)
                if not done and not has_waited and not self.nodes():
                    note("waiting: the Ray cluster has no node left that runs tasks")
                has_waited = not done
                for ref in done:
                    task, attempt = running.pop(ref)
                    outcome = self._outcome(ref, task, attempt)
                    if outcome is None:
                        running[self._submit(task)] = task, attempt + 1
                    else:
                        yield outcome
        finally:
            for ref in running:
                with suppress(Exception):  # the cluster may be gone
                    self._ray.cancel(ref, force=True)

    def _submit(self, task: Task) -> Any:
        gpus = self._gpus
        if task.device == "cpu":
            gpus = 0.0
        elif task.devices > 1:
            gpus = float(task.devices) if self._gpus else 0.0
        self._capacity(task.threads, gpus)
        # Ray's own retries would say nothing.
        placed = self._remote.options(num_cpus=task.threads, num_gpus=gpus, max_retries=0)
        return placed.remote(task, str(self._marker.absolute()))

    def _outcome(self, ref: Any, task: Task, attempt: int) -> Outcome | None:
        """The outcome of a task that has ended; None if its worker was lost and it starts again."""
        try:
            outcome: Outcome = self._ray.get(ref)
            return outcome
        except self._ray.exceptions.RayTaskError as error:
            return Outcome(task, reason(error.cause), False, 0.0)
        except self._ray.exceptions.RayError as error:
            lost = "its node" if "Node" in type(error).__name__ else "its Ray worker"
            if attempt == ATTEMPTS:
                return Outcome(task, f"{lost} was lost in each of {ATTEMPTS} attempts", False, 0.0)
            note(f"{task.name}: {lost} was lost; it is started again")
            return None


def _probe(paths: Sequence[str]) -> tuple[str, list[str]]:
    """On a node: the version of fairexit, and the paths that the node does not see."""
    return __version__, [path for path in paths if not os.path.lexists(path)]


def _run_on_node(task: Task, marker: str) -> Outcome:
    """On a node: run a task if the node sees the folder to which it writes."""
    if not Path(marker).is_file():
        hidden = f"node {socket.gethostname()} does not see {Path(marker).parent}"
        return Outcome(task, f"{hidden}, which all nodes must share", False, 0.0)
    return run_task(task, Processes())
