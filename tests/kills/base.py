"""What the commands leave if nothing disturbs them, and the process that they are forked from."""

import json
import pkgutil
import shutil
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import fairexit
from fairexit.inference import unfinished
from fairexit.training import checkpoint

from .commands import BY_NAME, Command, make_inputs
from .processes import Ended, call

LAZY = ["matplotlib.pyplot", "onnxscript", "optuna", "torch._dynamo", "torch.onnx"]
LAZY += ["sklearn.linear_model", "timm", "joblib.externals.loky", "torch.utils.tensorboard"]

FORKED = ["jemalloc_bg_thd"]
"""Threads that libraries start, and start again after a fork."""


def warm() -> None:
    """Import what the commands import, so that a fork starts with it, and store every state.

    Raises:
        RuntimeError: an import has started a thread, which a fork would lack.
    """
    names = [module.name for module in pkgutil.walk_packages(fairexit.__path__, "fairexit.")]
    for name in [name for name in names if not name.endswith("__main__")] + LAZY:
        import_module(name)
    # Trainings and long tables store their state after every epoch and batch, not every few
    # seconds, since these last less.
    checkpoint.STORE_EVERY = unfinished.SAVE_EVERY = 0.0
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    threads = [name for name in names if name not in FORKED]
    if len(threads) > 1:
        raise RuntimeError(f"threads after the imports: {threads}; set OMP_NUM_THREADS=1")


class Base:
    """The folder that holds what each command leaves undisturbed.

    Args:
        folder: the folder, made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "inputs").exists():
            make_inputs(folder / "inputs")

    def _source(self, source: str) -> Path:
        name = source.partition("/")[0]
        return self.folder / source if name in BY_NAME else self.folder / "inputs" / source

    def fill(self, command: Command, folder: Path, only: str | None = None) -> None:
        """Copy the inputs of a command, or a single one, into the folder where it runs."""
        folder.mkdir(parents=True, exist_ok=True)
        for path, source in command.needs.items():
            if only is None:
                _copy(self._source(source), folder / path)
            elif only == path or only.startswith(f"{path}/"):
                _copy(self._source(source) / only[len(path) + 1 :], folder / only)

    def undisturbed(self, command: Command) -> Ended:
        """Call a command, and those before it, if that has not been done yet; how it ended.

        Raises:
            RuntimeError: it failed.
        """
        folder, record = self.folder / command.name, self.folder / f"{command.name}.json"
        if record.is_file():
            return Ended(**json.loads(record.read_text()))
        for source in command.needs.values():
            if (name := source.partition("/")[0]) in BY_NAME:
                self.undisturbed(BY_NAME[name])
        shutil.rmtree(folder, ignore_errors=True)
        self.fill(command, folder)
        ended = call(command.words.split(), folder, beside=self.folder / "beside")
        if ended.status or ended.left:
            raise RuntimeError(
                f"fairexit {command.words}: {ended.status} {ended.left}\n{ended.errors}"
            )
        record.write_text(json.dumps(asdict(ended)))
        return ended


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)
