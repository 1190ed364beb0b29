"""The verdict of a study on each claim: paired differences with intervals."""

from collections.abc import Mapping, Sequence
from functools import partial

from fairexit.stats.seeds import LEVEL
from fairexit.study.claims import printed_difference
from fairexit.study.collect import Pooled
from fairexit.study.comparisons import Claim, Comparison
from fairexit.study.deciding import Design
from fairexit.study.depth import entanglement_verdict
from fairexit.study.drawn import Drawn
from fairexit.study.folder import dataset_info
from fairexit.study.outcomes import ClaimOutcome, Outcome, corrected, outcome_of
from fairexit.study.paper import Printed
from fairexit.study.words import word_of


def judge(
    pooled: Sequence[Pooled],
    claims: Sequence[Claim],
    drawn: Drawn,
    *,
    paper: Printed | None,
    design: Design,
    names: Mapping[str, str],
) -> list[ClaimOutcome]:
    """The verdict on each claim for one dataset, in the order of the claims.

    Args:
        pooled: the finished cells of the dataset.
        claims: the claims, except the sixth.
        drawn: the draws of these cells and claims.
        paper: the printed numbers of the dataset.
        design: the study's data.
        names: common name of a row -> its name in the study, see `row_names`.
    """
    results = [_judge(claim, drawn, paper, design) for claim in claims]
    results.append(entanglement_verdict(pooled, paper, design, names))
    return sorted(results, key=lambda result: result.claim.number)


def design_of(pooled: Sequence[Pooled]) -> Design:
    """The number of test images and folds, and of all images where the data are at hand."""
    info = dataset_info(pooled[0].runs[0].config.data.path)
    total = None if info is None else int(info["images"])
    return Design(len(pooled[0].ids), total, len(pooled[0].runs))


def _judge(claim: Claim, drawn: Drawn, paper: Printed | None, design: Design) -> ClaimOutcome:
    outcome = partial(_outcome, drawn=drawn, paper=paper, design=design)
    # All forms together err 5 times in 100.
    level = 1 - (1 - LEVEL) / len(claim.primary)
    primary = tuple(outcome(comparison, level=level) for comparison in claim.primary)
    condition = outcome(claim.condition) if claim.condition else None
    directions = [o.direction if o else None for o in primary]
    verdict = word_of(directions, condition.direction if condition else None)
    secondary = corrected(outcome(comparison) for comparison in claim.comparisons)
    return ClaimOutcome(claim, verdict, secondary, primary, condition)


def _outcome(
    comparison: Comparison,
    *,
    level: float = LEVEL,
    drawn: Drawn,
    paper: Printed | None,
    design: Design,
) -> Outcome | None:
    """The outcome over the pairs that were run; None if these are too few."""
    part = comparison.among(drawn.usable)
    if part is None or not drawn.usable(part.sides):
        return None
    seeds = drawn.seeds(part.sides)
    first, second = (
        drawn.mean(part.metric, [side for pair in part.pairs if (side := pair[i])], seeds)
        for i in (0, 1)
    )
    return outcome_of(
        part,
        drawn.contrast(part.metric, part.weights),
        level=level,
        means=(first, second),
        printed=printed_difference(paper, part),
        design=design,
    )
