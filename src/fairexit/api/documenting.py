"""The function that writes a run's documentation: document."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairexit.api.common import Plugins, as_run
from fairexit.api.judgement import audit
from fairexit.errors import UserError
from fairexit.plugins import load_plugins
from fairexit.runs import Run

if TYPE_CHECKING:
    from fairexit.api.common import Table
    from fairexit.auditing.settings import AuditSettings
    from fairexit.documentation.pack import Documentation


def document(
    run: str | Path | Run | Sequence[str | Path | Run],
    out: str | Path,
    *,
    groups: Sequence[str] = (),
    positive: str | Sequence[str] = (),
    baseline: "Table | Sequence[Table] | None" = None,
    cohort: "Table | None" = None,
    data: str | Path | None = None,
    settings: "AuditSettings | None" = None,
    plugins: Plugins = (),
) -> "Documentation":
    """Write a run's documentation: cards, audit, versions, and the items left open.

        fairexit.document("runs/me", "documentation", positive="MEL")

    Args:
        run: a finished and predicted run or its folder; of a list of training seeds of one model
            the first is documented, and the audit shows how the others differ.
        out: the folder to make.
        groups: names of the sensitive attributes; by default the run's own.
        positive: classes that count as disease, as for `fairexit.audit`.
        baseline: another model's predictions of the same samples, which the audit compares; a list
            of one for each training seed.
        cohort: the same model's predictions of other samples, such as another hospital's.
        data: the prepared data of the run, if they were moved.
        settings: numbers of resamples and permutations of the audit.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: no finished run with predictions, its data are missing or have changed, or the
            folder exists. No file is left behind.
    """
    load_plugins(plugins)
    from fairexit.data.folder import check_new
    from fairexit.documentation.pack import open_data, write_documentation

    runs = [as_run(each) for each in ([run] if isinstance(run, str | Path | Run) else run)]
    if not runs:
        raise UserError("'run' is an empty list; name a run")
    opened, folder = runs[0], Path(out)
    if opened.is_export:
        raise UserError(f"{opened.path} is an export; document the run that it is of")
    check_new(folder)
    prepared = open_data(opened, None if data is None else Path(data))
    results = audit(
        [each.path for each in runs],
        groups=groups,
        positive=positive,
        baseline=baseline,
        cohort=cohort,
        settings=settings,
    )
    return write_documentation(opened, prepared, results, folder)
