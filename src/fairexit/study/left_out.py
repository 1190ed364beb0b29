"""Rows of a study that decide nothing: their gaps are small for the wrong reason."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fairexit.metrics.collapse import COLLAPSED, MARK, main_answer_share
from fairexit.study.claims import MARGINS
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.paper import row_names


def rows_left_out(pooled: Sequence[Pooled]) -> tuple[dict[str, str], list[str]]:
    """The rows that take no part in any comparison of a claim.

    A row is left out if one of its seeds answers one class nearly always, or if its F1 is more than
    the margin below that of ERM with the same exits, mean over the seeds that both have.

    Args:
        pooled: the cells of one dataset.
    Returns:
        Row -> the reason, and the rows whose F1 could not be compared because
        ERM with the same exits was not run.
    """
    rows: dict[str, dict[int, Pooled]] = {}
    for cell in pooled:
        rows.setdefault(cell.row, {})[cell.seed] = cell
    names, reasons, unchecked = row_names(rows), {}, []
    for name, cells in rows.items():
        erm = names["ME-ERM" if name.startswith("ME-") else "ERM"]
        loss = _f1_loss(cells, rows.get(erm, {}))
        reason = _collapse(cells.values())
        if not reason and loss is None:
            unchecked.append(name)
        elif not reason and loss is not None and loss > MARGINS["f1"]:
            reason = f"its F1 is {loss:.3f} below that of {erm}"
        if reason:
            reasons[name] = reason
    return reasons, unchecked


def _collapse(cells: Iterable[Pooled]) -> str:
    """Which seed answers one class nearly always, "" if none does."""
    for cell in cells:
        if (share := _share(cell)) >= COLLAPSED:
            return f"it answers one class for {100 * share:.1f} % of the images in seed {cell.seed}"
    return ""


def collapse_mark(cells: Sequence[Pooled]) -> str:
    """The mark of a row one of whose networks has collapsed, with the seeds; "" if none has."""
    seeds = [str(cell.seed) for cell in cells if _share(cell) >= COLLAPSED]
    if not seeds or len(seeds) == len(cells):
        return MARK if seeds else ""
    return f"{MARK} in seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"


def _share(cell: Pooled) -> float:
    """The largest share of the answers under the policy that one class has."""
    return float(main_answer_share(cell.counts[cell.options[POLICY]]))


def _f1_loss(cells: Mapping[int, Pooled], erm: Mapping[int, Pooled]) -> float | None:
    """How much F1 is below that of ERM, mean over the common seeds; None without any."""
    common = [seed for seed in cells if seed in erm]
    if not common:
        return None
    losses = [erm[seed].values["f1"][0] - cells[seed].values["f1"][0] for seed in common]
    return float(np.mean(losses))
