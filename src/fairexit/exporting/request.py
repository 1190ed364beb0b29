"""Checks of an export's arguments before anything slow is done. Imports no torch."""

from pathlib import Path
from typing import Literal

from fairexit.data.folder import check_new
from fairexit.errors import UserError, nearest, option, short
from fairexit.inference.inputs import open_data, stored_policy
from fairexit.runs import Run
from fairexit.runtime.manifest import FORMS

Form = Literal["staged", "all-exits", "torch-export"]


def check_request(
    run: Run, out: Path, *, form: str, int8: bool, card: Path | None, data: Path | None
) -> None:
    """Raise a UserError if an export cannot be made; arguments as for `fairexit.export`."""
    check_new(out)
    if form not in FORMS:
        raise UserError(f"{option('form')} is '{short(form)}'; {nearest(form, FORMS)}")
    if int8 and form == "torch-export":
        raise UserError(f"{option('int8')} is of ONNX graphs, not of the form 'torch-export'")
    if run.is_export:
        raise UserError(f"{run.path} is an export already; give the run that it is of")
    if card is not None and not card.is_file():
        raise UserError(f"{option('card')} is '{card}', which is not a file")
    stored_policy(run)
    open_data(run, data)
