"""What several of the public functions take, and how they open it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fairexit.runs import Run, open_run

if TYPE_CHECKING:
    import pandas as pd

    from fairexit.predictions.data import Predictions

    Table: TypeAlias = str | Path | Predictions | pd.DataFrame

Plugins: TypeAlias = Sequence[str | Path]
"""Python files that register methods, datasets, metrics and so on of one's own."""


def as_run(run: str | Path | Run) -> Run:
    """A finished run, given itself or its folder."""
    return open_run(run.path if isinstance(run, Run) else Path(run))
