"""Thumbnails of the images that leave first and last, for the page of an audit."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fairexit.auditing.results import AuditResults
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.runs import open_run

SIDE = 96
"""Maximum height and width in pixels; larger images are reduced."""


def named_images(audit: AuditResults) -> dict[str, str]:
    """The images that an audit of a run names as leaving first or last: id -> `data:` address.

    Empty if they are not available: for a table of predictions, or if the prepared data of the run
    were moved or replaced.

    Raises:
        UserError: the prepared data are damaged or were changed after their preparation.
    """
    if not audit.facts.dataset:
        return {}
    data = open_prepared(open_run(Path(audit.facts.source)).config.data.path)
    usages = [a.exit_usage for a in audit.attributes if a.exit_usage is not None]
    return data_addresses(data, {id for usage in usages for id in (*usage.first, *usage.last)})


def data_addresses(data: Prepared, ids: Iterable[str]) -> dict[str, str]:
    """Images of prepared data as PNG: id -> `data:` address."""
    rows = data.frame.reset_index(drop=True)
    rows = rows[rows["id"].isin(list(ids))]
    return {str(id): _address(data, row) for row, id in rows["id"].items()}


def _address(data: Prepared, row: int) -> str:
    image = Image.fromarray(data.images[row])
    image.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
