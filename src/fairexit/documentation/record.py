"""What a run remembers of itself: its environment, its settings, its data and its weights."""

from typing import Any

from fairexit.data.prepared import Prepared
from fairexit.data.verify import sha256
from fairexit.environment import differences, environment
from fairexit.hub.folder import without_folders
from fairexit.runs import Run
from fairexit.version import __version__


def run_settings(run: Run) -> dict[str, Any]:
    """All settings of a run; of paths only the last part remains, since they may name people."""
    return without_folders(run.description["run"])


def run_environment(run: Run, data: Prepared) -> dict[str, Any]:
    """What a run was made with, what this documentation is made with, and how they differ.

    Args:
        run: a finished run.
        data: the data that it was trained on.
    """
    recorded = run.description.get("environment")
    training = {
        **(recorded if isinstance(recorded, dict) else {}),
        "fairexit": run.description.get("fairexit", "unknown"),
    }
    now = environment() | {"fairexit": __version__}
    changes = differences(training, now)
    return {
        "run": run.path.name,
        "weights": {run.weights.name: sha256(run.weights)},
        "data": {"name": data.name, "checksums": data.info["checksums"]},
        "plugins": run.plugins,
        "training": training,
        "documentation": now,
        "differences": {
            name: {"training": old, "documentation": new} for name, (old, new) in changes.items()
        },
    }
