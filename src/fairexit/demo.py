"""The demo: a known cause of unfairness in drawn images, and two attempts to repair it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fairexit.api.data import plant
from fairexit.api.judgement import audit
from fairexit.auditing.gap_results import Paired
from fairexit.auditing.settings import AuditSettings
from fairexit.config_files import build_config
from fairexit.data.datasets import datasets
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError, option
from fairexit.evaluation.assess import Assessment, assess
from fairexit.evaluation.choice import Choice
from fairexit.inference.predict import predict
from fairexit.report.audit_page import write_audit
from fairexit.report.page import write_page
from fairexit.tables import Table
from fairexit.training.fit import train

TRAIN = {"batch_size": 32, "lr": 0.02, "schedule": "cosine", "warmup": 1, "weight_decay": 5e-4}
# After a few epochs no network is confident enough for the paper's thresholds.
GRID = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
PLAIN = "plain"
MODELS: dict[str, dict[str, Any]] = {
    PLAIN: {"model": {"exits": "none"}},
    "multi-exit": {"model": {"exits": "all"}},
    "domain-independent": {"model": {"exits": "none"}, "method": {"name": "domainindep"}},
}
GAP = "eopp1_weighted"
SETTINGS = AuditSettings(
    n_resamples=2_000, n_score_resamples=200, n_permutations=2_000, n_gap_resamples=500
)


class Demo(NamedTuple):
    """What the demo found.

    Attributes:
        assessments: the evaluation of each network.
        verdict: for each network but the plain one, whether it repairs the planted cause.
    """

    assessments: list[Assessment]
    verdict: Table


def demo(out: Path, *, images: int = 1600, epochs: int = 5, seed: int = 0) -> Demo:
    """Plant a cause of unfairness into drawn lesions, and train networks with and without remedy.

    Most lesions of some classes are drawn as by a second, grey camera. A plain network learns the
    camera in the place of the lesion. In the test split the camera says nothing of the class.

    Resumes if it was interrupted; finished steps are not repeated.

    Args:
        out: folder for the data, the runs, `index.html` and the audits.
        images: number of images to draw.
        epochs: epochs of each training.
        seed: seed of the images, of the planting and of the training.
    Raises:
        UserError: the folder holds a demo with other settings, or there are too few images.
    """
    drawn, data = out / "drawn", out / "data"
    if not drawn.exists():
        dataset = datasets.create("synthetic", images=images, seed=seed)
        prepare("synthetic", dataset, None, drawn, options=PrepareOptions(size=32, seed=seed))
    options = open_prepared(drawn).info.get("dataset", {})
    if (options.get("images"), options.get("seed")) != (images, seed):
        raise UserError(f"{out} holds a demo with other settings; choose another {option('out')}")
    if not data.exists():
        plant(drawn, data, cause="prevalence", seed=seed)
    assessments = []
    for name, settings in MODELS.items():
        config = build_config(
            {
                "data": {"path": str(data), "augment": "flips", "sampling": "sqrt"},
                "train": {**TRAIN, "epochs": epochs},
                "seed": seed,
                **settings,
            }
        )
        run = train(config, out / name)
        predict(run)
        assessments.append(assess(run.path, choice=Choice(grid=GRID)))
    title = "fairexit demo: drawn skin lesions with a planted cause of unfairness"
    write_page(assessments, out / "index.html", title, open_prepared(data))
    return Demo(assessments, _verdict(out))


def _verdict(out: Path) -> Table:
    """Audit the networks against the plain one, and say whether the gap became smaller."""
    rows = [list(_row(name, out, out / f"audit-{name}.html")) for name in MODELS if name != PLAIN]
    columns = ["Model", "Eopp1 by images", "Change", "F1", "Change", "Repairs the planted cause?"]
    title = "Beside the plain network; intervals of 95 % over lesions, of one seed"
    return Table(title, columns, rows, 1)


def _row(name: str, out: Path, page: Path) -> Iterator[str]:
    """A row of the verdict; also writes the page of the audit."""
    report = audit(out / name, baseline=out / PLAIN, name=name, title=name, settings=SETTINGS)
    write_audit(report, page)
    paired = {p.metric: p for p in report.attributes[0].paired}
    gap, f1 = paired[GAP], paired["f1"]
    yield name
    yield from (_values(gap), _change(gap), _values(f1), _change(f1))
    if gap.difference.high < 0:
        yield f"closes {-100 * gap.difference.value / gap.baseline:.0f} % of the gap"
    else:
        yield "widens the gap" if gap.difference.low > 0 else "not shown"


def _values(paired: Paired) -> str:
    return f"{paired.baseline:.3f} -> {paired.value:.3f}"


def _change(paired: Paired) -> str:
    change = paired.difference
    return f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"
