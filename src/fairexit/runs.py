"""A run's folder: its files, its settings and its state. Does not import torch."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fairexit.config import DataConfig, RunConfig
from fairexit.config_files import build_config
from fairexit.errors import UserError, option, short
from fairexit.files import MANIFEST, read_json, write_atomically, write_json
from fairexit.plugin_records import HOW_TO_GIVE, changed, missing
from fairexit.registry import UnknownNameError
from fairexit.run_description import check_description
from fairexit.terminal import note

FORMAT = 2
"""Version of the files. Since 2, `eodd` is the usual form of equalised odds."""
RETRAIN = "train the run again in another folder"
INACTIVE = 0.01
"""A penalty is marked as inactive if its gradient on the trunk is less than this share of the
target loss's."""


@dataclass(frozen=True)
class Run:
    """The folder of a run, as `fairexit train` writes it."""

    path: Path

    def __repr__(self) -> str:
        state = "finished" if self.finished else "not finished"
        return f"Run({str(self.path)!r}, {state})"

    @property
    def weights(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "model.safetensors"

    @property
    def last_weights(self) -> Path:
        """Weights of the last epoch."""
        return self.path / "last.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def masks(self) -> Path:
        """Masks of the parameters that pruning kept as they were."""
        return self.path / "masks.safetensors"

    @property
    def edited_weights(self) -> Path:
        """Weights of the step that pruning has chosen, until the run is finished."""
        return self.checkpoints / "edited.safetensors"

    @property
    def pruning(self) -> Path:
        """Record of the pruning of a pruned run."""
        return self.path / "pruning.json"

    @property
    def identified(self) -> Path:
        """Record of the training images that the method draws more often."""
        return self.path / "identified.json"

    @property
    def refit(self) -> Path:
        """Record of the refit of the last layers."""
        return self.path / "refit.json"

    @property
    def policy(self) -> Path:
        return self.path / "policy.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    def predictions(self, split: str) -> Path:
        return self.path / "predictions" / f"{split}.parquet"

    @property
    def is_export(self) -> bool:
        """Whether the folder is an export of a run: graphs in place of weights."""
        return (self.path / MANIFEST).is_file()

    @property
    def finished(self) -> bool:
        return (self.path / "config.json").is_file()

    @cached_property
    def description(self) -> dict[str, Any]:
        """The content of `config.json`: how to rebuild the network and read its answers."""
        return read_json(self.path / "config.json", RETRAIN)

    @property
    def exit_costs(self) -> tuple[float, ...]:
        """Multiply-adds for one image that leaves at each exit, the final exit last, (E,).

        Raises:
            UserError: the run was trained by a version that did not store them.
        """
        costs = self.description.get("exit_costs")
        if costs is None:
            raise UserError(f"{self.path}/config.json lacks 'exit_costs'; {RETRAIN}")
        return tuple(costs)

    @property
    def inactive(self) -> tuple[str, ...]:
        """Marks of parts of the method that had almost no effect, such as "penalty inactive"."""
        ratio, marks = self.description.get("penalty_ratio"), []
        if ratio is not None and ratio < INACTIVE:
            marks.append("penalty inactive")
        if self.identified.is_file() and not read_json(self.identified, RETRAIN).get("wrong"):
            marks.append("nothing upweighted")
        if self.pruning.is_file():
            record = read_record(self)
            if record["path"][record["chosen"]]["fraction"] == 0:
                marks.append("nothing pruned")
        return tuple(marks)

    @property
    def label(self) -> str:
        """The run's name in tables, with its marks in brackets."""
        return self.path.name + (f" ({', '.join(self.inactive)})" if self.inactive else "")

    @cached_property
    def config(self) -> RunConfig:
        """The settings that the run was trained with."""
        try:
            return build_config(self.description["run"])
        except UnknownNameError as error:
            raise self.without_plugin(error) from None
        except UserError as error:
            raise error.at(f"{self.path}/config.json") from None

    @property
    def plugins(self) -> dict[str, str]:
        """File name -> SHA-256 of the plugin files that the run was trained with."""
        settings = self.description["run"]
        recorded = settings.get("plugins") if isinstance(settings, dict) else None
        return recorded if isinstance(recorded, dict) else {}

    def without_plugin(self, error: UnknownNameError) -> UserError:
        """The error for an unknown name in the settings, naming the plugins that are missing."""
        if absent := missing(self.plugins):
            return UserError(f"{self.path} needs {' and '.join(absent)}: {error}; {HOW_TO_GIVE}")
        return error

    def start(self, config: RunConfig, checksums: dict[str, str]) -> None:
        """Store the settings in a new folder, or check that an existing run has the same ones.

        Args:
            config: the settings.
            checksums: checksums of the data.
        Raises:
            UserError: the folder holds something else, or a run with other settings or data.
        """
        stamp = self.path / "started.json"
        content = {"format": FORMAT, "run": config.to_dict(), "data": checksums}
        if stamp.is_file():
            check_same(self.path, read_json(stamp, RETRAIN), content)
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.glob("[!.]*"))):
            raise UserError(f"{self.path} exists but is not a run; choose another {option('out')}")
        else:
            # Written first: a folder with other files and no stamp is refused.
            write_json(stamp, content)
        write_atomically(self.path / "config.yaml", config.to_yaml())


def open_run(path: Path) -> Run:
    """Open a finished run.

    Raises:
        UserError: the folder is not a run, or the run is not finished or of another version.
    """
    run = Run(path)
    if not path.is_dir():
        raise UserError(f"there is no folder {path}")
    if not run.finished:
        if (path / "started.json").is_file():
            raise UserError(f"{path} has not finished training; call `fairexit train` again")
        raise UserError(f"{path} is not a run; make one with `fairexit train`")
    version = run.description.get("format")
    if version != FORMAT:
        raise UserError(
            f"{path} has format {short(version)}, but this version reads {FORMAT}; train it again"
        )
    check_description(run.description, path / "config.json")
    for line in changed(run.plugins):
        _warn(f"warning: {path}: {line}")
    return run


@cache
def _warn(line: str) -> None:
    """Print a line to standard error once, however often a run is opened."""
    note(line)


def read_record(run: Run) -> dict[str, Any]:
    """The content of a pruned run's `pruning.json`.

    Raises:
        UserError: the run has not been pruned, or the file is damaged.
    """
    if not run.pruning.is_file():
        raise UserError(f"{run.path} has not been pruned; prune it with `fairexit prune`")
    remedy = "prune again into another folder"
    record = read_json(run.pruning, remedy)
    try:
        record["path"][record["chosen"]]["fraction"]
    except (LookupError, TypeError):
        raise UserError(f"{run.pruning} is damaged; {remedy}") from None
    return record


def check_same(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise a UserError that names the first difference between two stamps of a run.

    Args:
        path: the run's folder.
        old: the stored stamp: `format`, `run` (the settings) and `data` (checksums).
        new: the requested one, of the same form.
    """
    if old.get("format") != new["format"]:
        raise UserError(
            f"{path} has format {short(old.get('format'))}, but this version writes "
            f"{new['format']}; "
            f"choose another {option('out')}"
        )
    if not isinstance(old.get("run"), dict) or "data" not in old:
        raise UserError(f"{path} is damaged; choose another {option('out')}")
    before, after = completed(old["run"]), completed(new["run"])
    for key in [*after, *before]:
        if before.get(key) != after.get(key):
            raise UserError(
                f"{path} holds a run with {key} = {short(before.get(key))}, but this one has "
                f"{short(after.get(key))}; choose another {option('out')}"
            )
    if old["data"] != new["data"]:
        raise UserError(
            f"the data of {path} have changed since its training started; choose another "
            f"{option('out')}"
        )


def completed(settings: dict[str, Any]) -> dict[str, Any]:
    """Stored settings as one level; those that an earlier version did not have, at their defaults.

    Args:
        settings: nested settings.
    """
    return flatten(RunConfig(data=DataConfig(path=Path())).to_dict()) | flatten(settings)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with keys such as `train.lr`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
