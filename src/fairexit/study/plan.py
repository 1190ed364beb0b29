"""The runs of a study and their dependencies: teachers, and networks to prune or refit."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from itertools import groupby
from pathlib import Path
from typing import Any

from fairexit.config import RunConfig
from fairexit.data.prepare import PrepareOptions
from fairexit.errors import UserError, nearest, short
from fairexit.evaluation.choice import Choice
from fairexit.study.searches import Search


@dataclass(frozen=True)
class Planned:
    """One run of a study.

    Attributes:
        name: name of its folder, unique in the study.
        dataset, row, seed, fold: its cell of the grid; `row` is empty for a run that is made only
            because other runs need it.
        config: its settings.
        teacher: name of the run that is its teacher.
        start: name of the run that it prunes or refits.
    """

    name: str
    dataset: str
    row: str
    seed: int
    fold: int | None
    config: RunConfig
    teacher: str | None = None
    start: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the runs that must be finished first."""
        return tuple(name for name in (self.teacher, self.start) if name)

    @property
    def epochs(self) -> int:
        """Number of epochs to train; 0 for a run that starts from a trained one."""
        return self.config.train.epochs if self.start is None else 0


@dataclass(frozen=True)
class Preparation:
    """How a dataset of a study is prepared where it is absent.

    Attributes:
        dataset: its registered name.
        source: path of the download; None for drawn images.
        options: options of the dataset.
        how: options of the preparation.
    """

    dataset: str
    source: Path | None
    options: dict[str, Any]
    how: PrepareOptions


@dataclass(frozen=True)
class Study:
    """A grid of runs.

    Attributes:
        runs: by dataset, then by seed, so that an early stop leaves complete tables; within a seed,
            runs that are no row come first.
        choice: how each run's theta is chosen.
        prepare: dataset -> how to prepare it where it is absent.
        trials: row -> number of trials, for the rows whose settings were searched.
        entangle: whether entanglement is measured in the runs of ERM, with and without exits.
        against: row -> the row that it is compared with, where that is not plain training.
        searches: those that must be made before the runs have their settings.
        tracker: where the logs of trainings are sent too, see `check_tracker`.
        part: which part of the whole study this is, such as `2/8`; empty for all of it.
    """

    runs: tuple[Planned, ...]
    choice: Choice
    prepare: dict[str, Preparation]
    trials: dict[str, int]
    entangle: bool
    against: dict[str, str] = field(default_factory=dict)
    searches: tuple[Search, ...] = ()
    tracker: dict[str, Any] | None = None
    part: str = ""

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(run.dataset for run in self.runs))

    @property
    def rows(self) -> list[str]:
        return [row for row in dict.fromkeys(run.row for run in self.runs) if row]

    def batches(self, workers: int = 1, done: Collection[str] = ()) -> Iterator[list[Planned]]:
        """Batches of runs that do not need each other, in the order in which they are made.

        Seeds follow one another, unless one has too few runs to keep all workers busy; then
        consecutive seeds are made together. The last batch of one seed is merged with the
        first of the next.

        Args:
            workers: number of runs at a time.
            done: names of finished runs.
        """
        blocks: list[list[Planned]] = []
        for _, block in groupby(self.runs, key=lambda run: (run.dataset, run.seed)):
            if blocks and len(blocks[-1]) < 2 * workers:
                blocks[-1] += block
            else:
                blocks.append(list(block))
        batch: list[Planned] = []
        for block_runs in blocks:
            order = sorter(block_runs, done)
            while order.is_active():
                ready = set(order.get_ready())
                batch += [run for run in block_runs if run.name in ready]
                order.done(*ready)
                if order.is_active():
                    yield batch
                    batch = []
        yield batch


def linked(grid: Sequence[Planned], rows: Mapping[str, Any]) -> list[Planned]:
    """The runs linked to those that they need, which are added where the grid lacks them.

    Runs that need the same network share it.

    Args:
        grid: the runs of one dataset and seed.
        rows: row -> its changes; a teacher may be named by its row.

    Raises:
        UserError: a teacher that is neither a row nor a folder.
    """
    from fairexit.training.setup import resolve

    names = {_key(run.config): run.name for run in reversed(grid)}
    by_cell = {(run.row, run.fold): run.name for run in grid}
    added: list[Planned] = []

    def shared(run: Planned, config: RunConfig, suffix: str) -> str:
        """The name of the run with these settings, which is added where there is none."""
        if _key(config) not in names:
            name = f"{run.name}-{suffix}"
            names[_key(config)] = name
            needed = replace(run, name=name, row="", config=config)
            added.append(link(needed))
        return names[_key(config)]

    def link(run: Planned) -> Planned:
        config = run.config
        if config.prune is not None:
            from fairexit.pruning.prune import edited_config

            start = shared(run, replace(config, prune=None), "unpruned")
            return replace(run, config=edited_config(config, config.prune), start=start)
        if is_refitted(config):
            erm = resolve(replace(config, method={"name": "erm"}))
            return replace(run, start=shared(run, erm, "erm"))
        teacher = config.method.get("teacher")
        if teacher is not None and str(teacher) in rows:
            return replace(run, teacher=by_cell[str(teacher), run.fold])
        if teacher is not None and not Path(str(teacher)).is_dir():
            raise UserError(
                f"run {run.name}: method.teacher is '{short(teacher)}', which is neither a row nor "
                f"the folder of a run; {nearest(str(teacher), rows)}"
            )
        if teacher is None and _has_teacher(config):
            erm = resolve(replace(config, method={"name": "erm"}))
            return replace(run, teacher=shared(run, erm, "teacher"))
        return run

    in_grid = [link(run) for run in grid]
    runs = [*added, *in_grid]
    # A pruned run has the teacher of the run that it starts from.
    teachers = {run.name: run.teacher for run in runs}
    return [replace(run, teacher=teachers[run.start]) if run.start else run for run in runs]


def _has_teacher(config: RunConfig) -> bool:
    from fairexit.methods import methods

    return "teacher" in methods.options(config.method["name"])


def is_refitted(config: RunConfig) -> bool:
    """Whether the method refits a network that ERM has trained."""
    from fairexit.methods import Refitted, methods

    return issubclass(methods[config.method["name"]], Refitted)


def _key(config: RunConfig) -> str:
    return config.to_yaml()


def sorter(runs: Iterable[Planned], done: Collection[str] = ()) -> "TopologicalSorter[str]":
    """A topological sorter of the runs, prepared; finished runs are not waited for.

    Raises:
        CycleError: runs need each other in a circle.
    """
    order: TopologicalSorter[str] = TopologicalSorter(
        {run.name: set(run.needs).difference(done) for run in runs}
    )
    order.prepare()
    return order
