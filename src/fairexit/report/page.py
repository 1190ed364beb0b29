"""One self-contained HTML page of one or several evaluated models."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

import fairexit
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError
from fairexit.evaluation.assess import Assessment
from fairexit.files import write_atomically
from fairexit.report.figures import exit_shares, theta_curve, to_html
from fairexit.report.tables import cell_table, exit_table, fairness_table, summary_table, theta_text


def write_page(
    assessments: Sequence[Assessment], out: Path, title: str, data: Prepared | None = None
) -> None:
    """Write the page; it loads nothing from anywhere.

    Args:
        assessments: the models, all of one attribute.
        out: the HTML file.
        title: the page's heading.
        data: the dataset behind them, whose counts and leaks are shown.
    """
    groups = {a.group for a in assessments}
    if len(groups) > 1:
        raise UserError(f"the models are of different attributes ({', '.join(sorted(groups))})")
    if data is not None:
        data.task(assessments[0].group)  # an attribute that the data lack says so now
    multi = [a for a in assessments if len(a.predictions.exit_names) > 1]
    figures = to_html([draw(a) for a in multi for draw in (theta_curve, exit_shares)])
    tables = [fairness_table(assessments), summary_table(assessments)]
    environment = Environment(
        loader=PackageLoader("fairexit.report"), autoescape=select_autoescape(["html"])
    )
    page = environment.get_template("page.html").render(
        title=title,
        version=fairexit.__version__,
        group=assessments[0].group,
        tables=[Markup(t.to_html()) for t in tables],
        exits=[
            {
                "name": a.name,
                "theta": theta_text(a),
                "table": Markup(exit_table(a).to_html()),
                "figures": [Markup(f) for f in figures[2 * i : 2 * i + 2]],
            }
            for i, a in enumerate(multi)
        ],
        empty=sorted({cell for a in assessments for cell in a.evaluation.empty_cells}),
        images=assessments[0].evaluation.n,
        data=data and data.info,
        cells=data and Markup(cell_table(data, assessments[0].group).to_html()),
    )
    write_atomically(out, page)
