"""The runs of a study, and which of them need another one first."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from itertools import groupby
from pathlib import Path
from typing import Any

from fairexit.config import RunConfig
from fairexit.data.prepare import PrepareOptions
from fairexit.errors import UserError, nearest, short
from fairexit.evaluation.assess import Choice


@dataclass(frozen=True)
class Planned:
    """One run of a study.

    Attributes:
        name: of its folder, unique in the study.
        dataset, row, seed, fold: its place in the grid; `row` is empty for a run that only others
            need.
        config: its settings.
        teacher: the run that is its teacher.
        start: the run that it prunes.
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
        """Runs that have to be finished first."""
        return tuple(name for name in (self.teacher, self.start) if name)

    @property
    def epochs(self) -> int:
        """That are trained; a pruned run starts from a trained one."""
        return self.config.train.epochs if self.start is None else 0


@dataclass(frozen=True)
class Preparation:
    """How a study's data are prepared where they are not there.

    Attributes:
        dataset: its registered name.
        source: of a download, None for images that are drawn.
        options: the dataset's own.
        how: as `fairexit prepare` takes them.
    """

    dataset: str
    source: Path | None
    options: dict[str, Any]
    how: PrepareOptions


@dataclass(frozen=True)
class Study:
    """A grid of runs.

    Attributes:
        runs: in the order of the file: by dataset, then by seed, so that an early end leaves whole
            tables; those that others need first.
        choice: how each run's theta is chosen.
        prepare: dataset name -> how to prepare it where it is not there.
        trials: row -> over how many trials its settings were searched; others were given.
        entangle: whether entanglement is measured, in the runs of ERM with and without exits.
        against: row -> the row that it is compared with, where that is not plain training.
    """

    runs: tuple[Planned, ...]
    choice: Choice
    prepare: dict[str, Preparation]
    trials: dict[str, int]
    entangle: bool
    against: dict[str, str] = field(default_factory=dict)

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(run.dataset for run in self.runs))

    @property
    def rows(self) -> list[str]:
        return [row for row in dict.fromkeys(run.row for run in self.runs) if row]

    def batches(self, workers: int = 1, done: Collection[str] = ()) -> Iterator[list[Planned]]:
        """Runs that need nothing of each other, in the order in which they are to be made.

        A dataset's seeds follow one another, unless they are too few runs to keep all workers busy.
        What needs others at the end of one seed shares a batch with the beginning of the next.

        Args:
            workers: runs at a time.
            done: names of runs for which nobody has to wait.
        """
        blocks: list[list[Planned]] = []
        for _, block in groupby(self.runs, key=lambda run: (run.dataset, run.seed)):
            if blocks and len(blocks[-1]) < 2 * workers:
                blocks[-1] += block
            else:
                blocks.append(list(block))
        batch: list[Planned] = []
        for here in blocks:
            order = sorter(here, done)
            while order.is_active():
                ready = set(order.get_ready())
                batch += [run for run in here if run.name in ready]
                order.done(*ready)
                if order.is_active():
                    yield batch
                    batch = []
        yield batch


def linked(grid: Sequence[Planned], rows: Mapping[str, Any]) -> list[Planned]:
    """The same runs, each with the runs it needs, which are made once for all.

    Raises:
        UserError: a teacher that is neither a row nor a folder.
    """
    from fairexit.training.setup import record_plugins

    there = {_key(run.config): run.name for run in reversed(grid)}
    place = {(run.row, run.fold): run.name for run in grid}
    added: list[Planned] = []

    def shared(run: Planned, config: RunConfig, what: str) -> str:
        if _key(config) not in there:
            name = f"{run.name}-{what}"
            there[_key(config)] = name
            needed = replace(run, name=name, row="", config=config)
            added.append(link(needed))
        return there[_key(config)]

    def link(run: Planned) -> Planned:
        config = run.config
        if config.prune is not None:
            return replace(run, start=shared(run, replace(config, prune=None), "unpruned"))
        teacher = config.method.get("teacher")
        if teacher is not None and str(teacher) in rows:
            return replace(run, teacher=place[str(teacher), run.fold])
        if teacher is not None and not Path(str(teacher)).is_dir():
            raise UserError(
                f"run {run.name}: method.teacher is '{short(teacher)}', which is neither a row nor "
                f"the folder of a run; {nearest(str(teacher), rows)}"
            )
        if teacher is None and _has_teacher(config):
            erm = record_plugins(replace(config, method={"name": "erm"}))
            return replace(run, teacher=shared(run, erm, "teacher"))
        return run

    linked = [link(run) for run in grid]
    everything = [*added, *linked]
    # A pruned run has the settings of the one it starts from, its teacher among them.
    teachers = {run.name: run.teacher for run in everything}
    return [replace(run, teacher=teachers[run.start]) if run.start else run for run in everything]


def _has_teacher(config: RunConfig) -> bool:
    from fairexit.methods import methods

    return "teacher" in methods.options(config.method["name"])


def _key(config: RunConfig) -> str:
    return config.to_yaml()


def sorter(runs: Iterable[Planned], done: Collection[str] = ()) -> "TopologicalSorter[str]":
    """The order of need, prepared; what is done is needed no more.

    Raises:
        CycleError: runs need each other in a circle.
    """
    order: TopologicalSorter[str] = TopologicalSorter(
        {run.name: set(run.needs).difference(done) for run in runs}
    )
    order.prepare()
    return order
