"""The images that leave first and last, for the page of an audit."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fairexit.auditing.results import AuditResults
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.runs import open_run

SIDE = 96
"""Pixels; larger images are made smaller."""


def leaving_images(audit: AuditResults) -> dict[str, str]:
    """The images named in an audit of a run, as data addresses by id.

    Nothing where they are not at hand: for a table of predictions, or when the run's prepared data
    no longer lie where they lay or have changed.
    """
    if not audit.facts.dataset:
        return {}
    data = open_prepared(open_run(Path(audit.facts.source)).config.data.path)
    leaving = [a.leaving for a in audit.attributes if a.leaving is not None]
    return data_addresses(data, {id for one in leaving for id in (*one.first, *one.last)})


def data_addresses(data: Prepared, ids: Iterable[str]) -> dict[str, str]:
    """Images of prepared data as PNG in `data:` addresses, by id."""
    rows = data.frame.reset_index(drop=True)
    rows = rows[rows["id"].isin(list(ids))]
    return {str(id): _address(data, row) for row, id in rows["id"].items()}


def _address(data: Prepared, row: int) -> str:
    image = Image.fromarray(data.images[row])
    image.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
