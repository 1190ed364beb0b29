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
from fairexit.errors import UserError, reason
from fairexit.files import write_atomically
from fairexit.pruning.masks import Masks, zero

Score = Callable[[int, float], dict[str, Tensor]]


@dataclass(frozen=True)
class Measured:
    """What validation says, under the policy that it chooses and at the final exit."""

    f1: float
    eopp1: float
    eodd: float
    accuracy: float
    theta: float | None
    final_f1: float
    final_eopp1: float
    final_eodd: float


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
        found = self.measured
        return (
            f"step {self.number} beta {self.beta:g} zeros {self.fraction:.1%} val F1 "
            f"{found.f1:.4f} Eopp1 {found.eopp1:.4f} Eodd {found.eodd:.4f}"
        )


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
                f"{path} is damaged ({reason(error)}); remove it and call again"
            ) from None
        if about["stamp"] != stamp:
            raise UserError(
                f"{path.parent.parent} holds a pruning of another network; choose another --out"
            )
        return cls(steps, removed, about["ended"])


def walk(
    parameters: Mapping[str, Tensor],
    config: PruneConfig,
    *,
    score: Score,
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
        raise UserError("the saliency is not finite; the network's weights or loss are not either")
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
    if config.stop and last.measured.f1 < start.measured.f1 - config.tolerance:
        return f"F1 fell by more than {config.tolerance:g}"
    best = int(np.argmin([step.measured.eodd for step in steps]))
    if config.stop and len(steps) - 1 - best >= config.patience:
        return f"Eodd has not fallen for {config.patience} step(s)"
    return "the ratio is reached" if last.number == config.steps else ""


def choose(steps: list[Step], config: PruneConfig) -> tuple[int, str]:
    """The step that is taken, and why.

    The lowest Eodd on validation of all steps whose F1 is at most the tolerance below the unpruned
    network's, the earliest of equals; without `stop` the last one.

    Returns:
        Index into the steps, and the reason.
    """
    if not config.stop:
        return len(steps) - 1, "the last step, as prune.stop is false"
    least = steps[0].measured.f1 - config.tolerance
    allowed = [i for i, step in enumerate(steps) if step.measured.f1 >= least]
    best = min(allowed, key=lambda i: steps[i].measured.eodd)
    if best == 0:
        why = "nothing is pruned: no step has a lower Eodd on validation"
    else:
        why = "the lowest Eodd on validation"
    return best, f"{why} with F1 at most {config.tolerance:g} below the unpruned network's"


@torch.no_grad()
def _restore(
    parameters: Mapping[str, Tensor], original: Mapping[str, Tensor], masks: Masks
) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(original[name])
    zero(parameters, masks)
