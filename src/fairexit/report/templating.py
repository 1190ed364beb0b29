"""The template engine of the pages: it escapes every text, and an unknown name is an error."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fairexit.evaluation.theta import exit_name
from fairexit.report import audit_figures as figures
from fairexit.report import vocabulary


def in_lines(cell: str) -> Markup:
    """A cell of a table with what stands in its brackets on lines of their own; words may wrap.

    >>> print(in_lines("0.50 (4 of 8; 0.2 to 0.8)"))
    <span class="v">0.50</span><span class="ci">4 of 8</span><span class="ci">0.2 to 0.8</span>
    """
    value, _, remarks = cell.removesuffix(")").partition(" (")
    text = Markup('<span class="v">{}</span>').format(value)
    for remark in filter(None, remarks.split("; ")):
        kind = "ci few" if remark[0].isalpha() else "ci"
        text += Markup('<span class="{}">{}</span>').format(kind, remark)
    return text


FILTERS = (
    vocabulary.decimal,
    vocabulary.signed,
    vocabulary.percent,
    vocabulary.whole,
    vocabulary.p_value,
    vocabulary.interval,
    vocabulary.of,
    vocabulary.listed,
    vocabulary.signed_interval,
    vocabulary.unbroken,
    vocabulary.metric_name,
    exit_name,
    vocabulary.capital,
    in_lines,
)


def render(template: str, helpers: dict[str, Any], **values: Any) -> str:
    """Render a page from its template.

    Args:
        template: file of the template.
        helpers: functions and constants for the template and those that it includes.
        values: the values to show.
    """
    environment = Environment(
        loader=PackageLoader("fairexit.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    environment.globals |= {"figures": figures, **helpers}
    return environment.get_template(template).render(**values)
