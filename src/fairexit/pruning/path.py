"""The path of a pruning: steps, what validation says of each, and which one is taken."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from fairexit.config import PruneConfig
from fairexit.errors import UserError, option, reason
from fairexit.evaluation.thresholds import DEFAULT_RULE
from fairexit.files import write_atomically
from fairexit.metrics.record import METRICS
from fairexit.pruning.masks import Masks, zero

ScoreFunction = Callable[[int, float], dict[str, Tensor]]


CRITERION = DEFAULT_RULE
"""The gap whose lowest value on validation decides."""


@dataclass(frozen=True)
class Measured:
    """What validation says, every main metric by name.

    Attributes:
        policy: under the policy that validation chooses.
        final: at the final exit.
        theta: of the policy; None where everything leaves at the final exit.
    """

    policy: dict[str, float]
    final: dict[str, float]
    theta: float | None


@dataclass(frozen=True)
class Step:
    """A point of the path.

    Attributes:
        trail: its beta's place among those that are swept.
        number: of the step in the trail; 0 is the unpruned network.
        beta: None for the unpruned network.
        fraction: share of the prunable parameters that are zero.
        measured: on validation.
    """

    trail: int
    number: int
    beta: float | None
    fraction: float
    measured: Measured

    def text(self) -> str:
        """A line for a log."""
        numbers = " ".join(
            f"{METRICS[name].label} {value:.4f}" for name, value in self.measured.policy.items()
        )
        return f"step {self.number} beta {self.beta:g} zeros {self.fraction:.1%} val {numbers}"

    @property
    def f1(self) -> float:
        """Macro F1 on validation, under the policy."""
        return self.measured.policy["f1"]

    @property
    def gap(self) -> float:
        """What decides: the gap `CRITERION` on validation, under the policy."""
        return self.measured.policy[CRITERION]


@dataclass
class Trace:
    """All steps so far.

    Attributes:
        steps: the unpruned network first.
        removed: trail -> (P,) uint8, the step at which a parameter was removed, 0 where it is kept.
        ended: why the last trail ended, empty while it goes on.
    """

    steps: list[Step]
    removed: dict[int, Tensor] = field(default_factory=dict)
    ended: str = ""

    def save(self, path: Path, stamp: str) -> None:
        """Store it; `stamp` says of which network it is."""
        about = {"steps": [asdict(s) for s in self.steps], "ended": self.ended, "stamp": stamp}
        tensors = {str(trail): removed for trail, removed in self.removed.items()}
        write_atomically(path, save(tensors, {"trace": json.dumps(about)}))

    @classmethod
    def load(cls, path: Path, stamp: str) -> "Trace":
        """Read it back.

        Raises:
            UserError: it is damaged, or of another network.
        """
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["trace"])
                removed = {int(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            steps = [Step(**s | {"measured": Measured(**s["measured"])}) for s in about["steps"]]
        except Exception as error:
            raise UserError(
                f"{path} is damaged ({reason(error)}); remove it and prune again"
            ) from None
        if about["stamp"] != stamp:
            raise UserError(
                f"{path.parent.parent} holds a pruning of another network; choose another "
                f"{option('out')}"
            )
        return cls(steps, removed, about["ended"])


def walk(
    parameters: Mapping[str, Tensor],
    config: PruneConfig,
    *,
    score: ScoreFunction,
    measure: Callable[[], Measured],
    trace: Trace,
    stored: Callable[[Trace], None],
) -> None:
    """Prune step by step, along one trail for each beta, and measure each step.

    Args:
        parameters: the prunable ones; in the end as the last step left them.
        config: the settings.
        score: saliencies by step and beta.
        measure: looks at the network on validation.
        trace: where the walk stands; it is continued in place.
        stored: is called after each step.
    """
    original = {name: p.detach().clone() for name, p in parameters.items()}
    total = sum(p.numel() for p in parameters.values())
    for trail, beta in enumerate(config.betas):
        removed = trace.removed.setdefault(trail, torch.zeros(total, dtype=torch.uint8))
        _restore(parameters, original, masks_of(removed, parameters))
        done = [step for step in trace.steps if step.trail == trail and step.number > 0]
        for number, fraction in list(enumerate(fractions(config), 1))[len(done) :]:
            if trace.ended and not config.sweeps:
                return
            remove(removed, score(number, beta), fraction, number)
            zero(parameters, masks_of(removed, parameters))
            share = int((removed > 0).sum()) / total
            trace.steps.append(Step(trail, number, beta, share, measure()))
            trace.ended = "" if config.sweeps else ending(trace.steps, config)
            stored(trace)


def fractions(config: PruneConfig) -> list[float]:
    """The shares of zeros of the steps: equal steps to the ratio, or the ratios of a sweep."""
    if config.sweeps:
        return [ratio for ratio in config.ratios if ratio > 0]
    (ratio,) = config.ratios
    return [ratio * i / config.steps for i in range(1, config.steps + 1)] if ratio > 0 else []


def remove(removed: Tensor, scores: Mapping[str, Tensor], fraction: float, number: int) -> None:
    """Mark the parameters with the lowest scores, until a share of all has been removed.

    Args:
        removed: (P,) uint8, changed in place; what is marked leaves the ranking.
        scores: by parameter, in the order of `removed`.
        fraction: of P that is removed in the end.
        number: of the step, which is what is written.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    if not flat.isfinite().all():
        raise UserError(
            "the saliency is not finite, so the network's weights or loss are not finite either"
        )
    flat[removed > 0] = torch.inf
    missing = round(fraction * len(flat)) - int((removed > 0).sum())
    removed[torch.sort(flat, stable=True).indices[:missing]] = number


def masks_of(removed: Tensor, parameters: Mapping[str, Tensor], number: int = 255) -> Masks:
    """The masks after a step of a trail."""
    kept = (removed == 0) | (removed > number)
    parts = torch.split(kept, [p.numel() for p in parameters.values()])
    return {n: part.view(p.shape) for (n, p), part in zip(parameters.items(), parts, strict=True)}


def ending(steps: list[Step], config: PruneConfig) -> str:
    """Why a trail ends at its last step, empty where it goes on."""
    last, start = steps[-1], steps[0]
    if config.stop and last.f1 < start.f1 - config.tolerance:
        return f"F1 fell by more than {config.tolerance:g}"
    best = int(np.argmin([step.gap for step in steps]))
    if config.stop and len(steps) - 1 - best >= config.patience:
        return f"{METRICS[CRITERION].label} has not fallen for {config.patience} step(s)"
    return "the ratio is reached" if last.number == config.steps else ""


def choose(steps: list[Step], config: PruneConfig) -> tuple[int, str]:
    """The step that is taken, and why.

    The lowest gap on validation of all steps whose F1 is at most the tolerance below the unpruned
    network's, the earliest of equals; without `stop` the last one.

    Returns:
        Index into the steps, and the reason.
    """
    if not config.stop:
        return len(steps) - 1, "the last step, as prune.stop is false"
    least = steps[0].f1 - config.tolerance
    allowed = [i for i, step in enumerate(steps) if step.f1 >= least]
    best, label = min(allowed, key=lambda i: steps[i].gap), METRICS[CRITERION].label
    if best == 0:
        why = f"nothing is pruned: no step has a lower {label} on validation"
    else:
        why = f"the lowest {label} on validation"
    return best, f"{why} with F1 at most {config.tolerance:g} below the unpruned network's"


@torch.no_grad()
def _restore(
    parameters: Mapping[str, Tensor], original: Mapping[str, Tensor], masks: Masks
) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(original[name])
    zero(parameters, masks)
