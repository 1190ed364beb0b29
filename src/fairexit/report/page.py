"""One self-contained HTML page for one or several evaluated models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairexit.auditing.exits import theta_curve
from fairexit.auditing.source import Source
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option
from fairexit.evaluation.assess import Assessment
from fairexit.evaluation.theta import exit_name
from fairexit.files import write_atomically
from fairexit.report.cell_labels import label_cells
from fairexit.report.evaluation_tables import (
    cell_table,
    exit_table,
    fairness_table,
    summary_table,
    threshold_text,
)
from fairexit.report.slider import SLIDER_HELPERS
from fairexit.report.templating import render
from fairexit.report.theta_text import choice_lines
from fairexit.report.vocabulary import BY_IMAGES
from fairexit.version import __version__


def write_page(
    assessments: Sequence[Assessment], out: Path, title: str, data: Prepared | None = None
) -> None:
    """Write the page; it loads no external resources.

    Args:
        assessments: the models, all evaluated by the same attribute.
        out: the HTML file.
        title: the page's heading.
        data: the dataset of the models, whose counts and leaks are shown.
    Raises:
        UserError: the attributes differ, or the dataset does not have the attribute.
    """
    groups = {a.group for a in assessments}
    if len(groups) > 1:
        raise UserError(
            f"the models have different sensitive attributes ({', '.join(sorted(groups))}); choose "
            f"one with {option('group')}"
        )
    if data is not None:
        data.task(assessments[0].group)  # raises if the data do not have the attribute
    multi = [a for a in assessments if len(a.predictions.exit_names) > 1]
    page = render(
        "page.html",
        SLIDER_HELPERS,
        title=title,
        version=__version__,
        group=assessments[0].group,
        tables=[fairness_table(assessments), summary_table(assessments)],
        exits=[_exits(a) for a in multi],
        empty=sorted({cell for a in assessments for cell in a.evaluation.empty_cells}),
        by_images=BY_IMAGES,
        images=assessments[0].evaluation.n,
        data=data and data.info,
        cells=data and cell_table(data, assessments[0].group),
    )
    write_atomically(out, label_cells(page))


def _exits(assessment: Assessment) -> dict[str, Any]:
    """The values for the section of one multi-exit model."""
    source = Source(assessment.name, assessment.predictions, assessment.evaluation.policy)
    return {
        "name": assessment.name,
        "threshold": threshold_text(assessment),
        "choice": [*choice_lines(assessment.evaluation.policy)],
        "table": exit_table(assessment),
        "curve": theta_curve(source, assessment.group),
        "shares": {
            group: {exit_name(name): share for name, share in shares.items()}
            for group, shares in assessment.evaluation.exit_share.items()
        },
    }
