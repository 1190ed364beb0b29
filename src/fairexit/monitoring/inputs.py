"""A monitor from the arguments of a Python caller: runs, files and frames."""

from collections.abc import Sequence
from typing import Any

from fairexit.auditing.audit import default_groups
from fairexit.auditing.inputs import TableReader
from fairexit.errors import UserError
from fairexit.monitoring.monitor import monitor_sources
from fairexit.monitoring.new_tables import NewReader
from fairexit.monitoring.results import MonitorResults
from fairexit.monitoring.settings import MonitorSettings


def monitor_tables(
    base: Any, new: Sequence[Any], reader: TableReader, settings: MonitorSettings
) -> MonitorResults:
    """Read BASE and the later tables, and watch every quantity.

    Args:
        base: a run's folder, a file, `Predictions` or a frame.
        new: later answers of the same model, in order.
        reader: how tables are read.
        settings: the level, the tolerance, and when to look.
    Raises:
        UserError: a table cannot be read, or they do not fit each other.
    """
    if not new:
        raise UserError("there is no table of later answers; give at least one")
    source = reader.open(base, "BASE")
    attributes = list(dict.fromkeys(reader.groups or default_groups(source)))
    new_reader = NewReader(
        base=source,
        reading=reader.reading,
        groups=attributes,
        split=reader.split,
        time=settings.time,
    )
    tables = [new_reader.open(table, f"NEW {i}") for i, table in enumerate(new, 1)]
    return monitor_sources(source, tables, attributes, settings)
