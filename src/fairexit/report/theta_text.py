"""How theta was chosen, how stable the choice is, and what a random theta does, as sentences."""

from collections.abc import Iterator, Sequence

from fairexit.evaluation.candidate import Candidate
from fairexit.evaluation.certificate import LOSSES, Certificate
from fairexit.evaluation.policy import BY_HAND, CHOSEN_POINT, Policy
from fairexit.evaluation.risk import RISK
from fairexit.evaluation.theta import theta_name
from fairexit.predictions.confidence import MAX_PROBABILITY, check_confidence_measure
from fairexit.report.calibration_text import temperature_line
from fairexit.report.vocabulary import decimal, label, listed, percent

METRICS_SHOWN = ("f1", "eopp1", "eodd")


def choice_lines(policy: Policy) -> Iterator[str]:
    """Sentences about where temperatures and theta come from; none for a plain network as it is."""
    if policy.temperatures is not None:
        yield temperature_line(policy.temperatures)
    if policy.rule == BY_HAND:
        yield "Theta was set by hand, not chosen on validation."
    if policy.rule == CHOSEN_POINT:
        yield (
            f"The operating point was chosen by rule {policy.rule} on {policy.split} for "
            f"{policy.group}: {policy.reason}."
        )
        yield f"The runs that were compared: {listed(policy.compared)}."
    if not policy.candidates:
        return
    yield f"Theta was chosen by rule {policy.rule} on {policy.split}: {policy.reason}."
    if any(isinstance(c.theta, tuple) for c in policy.candidates):
        yield (
            f"Each exit has a theta of its own: a greedy search, one exit after the other, tried "
            f"{len(policy.candidates)} candidates, and may have missed a better one."
        )
    if policy.certificate is not None:
        yield from certificate_lines(policy.certificate)
    yield stability_line(policy)
    if policy.rule != RISK:
        yield random_line([c for c in policy.candidates if isinstance(c.theta, float)])


def certificate_lines(certificate: Certificate) -> Iterator[str]:
    """What is promised about theta, of whom, and on which numbers it stands."""
    where = "of all images together" if certificate.attribute is None else "in every group"
    if certificate.method == "binomial":
        what = f"the share of clusters with an image whose answer {LOSSES[certificate.loss]}"
    else:
        what = f"the mean share of a cluster's images whose answer {LOSSES[certificate.loss]}"
    odds = (
        "on average over validation sets"
        if certificate.method == "conformal"
        else f"with probability {percent(1 - certificate.delta)}"
    )
    yield (
        f"Promised {odds}: {what} is at most {percent(certificate.epsilon)} {where}, for images "
        "drawn as those of validation were. An epoch or a temperature that the same images chose "
        "makes this hold only nearly."
    )
    for p in certificate.promises:
        bad = f"{p.bad:,.0f}" if certificate.method == "binomial" else f"{p.bad:,.1f}"
        yield (
            f"{p.name or 'All images'}: {bad} of {p.units:,} clusters ({p.images:,} images) are "
            f"bad; the least that could be promised is {percent(p.bound)}."
        )


def measure_text(policy: Policy) -> str:
    """A confidence measure other than the largest probability, in brackets; "" for that."""
    if policy.confidence_measure == MAX_PROBABILITY:
        return ""
    return f" ({check_confidence_measure(policy.confidence_measure).label})"


def stability_line(policy: Policy) -> str:
    """How often the same rule chooses each theta in resamples of validation."""
    [chosen] = [c for c in policy.candidates if c.theta == policy.theta]
    others = sorted(
        (c for c in policy.candidates if c.chosen > 0 and c is not chosen), key=lambda c: -c.chosen
    )
    text = (
        f"How stable the choice is: in {percent(chosen.chosen)} of the resamples of {policy.split} "
        f"(clusters drawn whole) the same rule chooses {theta_name(chosen.theta)}"
    )
    rest = [f"{theta_name(c.theta)} in {percent(c.chosen)}" for c in others]
    return f"{text}; {listed(rest)}." if rest else f"{text}."


def random_line(candidates: Sequence[Candidate]) -> str:
    """What the thetas of the grid do on validation: mean, lowest and highest value."""
    parts = []
    for name in METRICS_SHOWN:
        values = [v for c in candidates if (v := getattr(c, name)) is not None]
        if values:
            parts.append(f"{label(name)} {_spread([decimal(v) for v in _mean_range(values)])}")
    early = _spread([percent(v) for v in _mean_range([c.early for c in candidates])])
    parts.append(f"{early} of the samples leave before the final exit")
    costs = [c.cost for c in candidates if c.cost is not None]
    if costs:
        cost = _spread([percent(v) for v in _mean_range(costs)])
        parts.append(f"the mean cost is {cost} of the full network's")
    return (
        "A theta drawn at random from the grid, mean (lowest to highest) on validation: "
        f"{', '.join(parts)}."
    )


def _mean_range(values: Sequence[float]) -> tuple[float, float, float]:
    return sum(values) / len(values), min(values), max(values)


def _spread(texts: Sequence[str]) -> str:
    mean, low, high = texts
    return f"{mean} ({low} to {high})"
