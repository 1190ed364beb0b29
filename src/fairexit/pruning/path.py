"""The path of a pruning: its steps, their measurement on validation, and the choice of a step."""

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
from fairexit.evaluation.rules import DEFAULT_GAP
from fairexit.files import write_atomically
from fairexit.metrics.collapse import COLLAPSED
from fairexit.metrics.record import METRICS
from fairexit.pruning.masks import Masks, zero

ScoreFunction = Callable[[int, float], dict[str, Tensor]]
"""(number of the step, beta) -> parameter name -> scores, of the parameter's shape."""

CRITERION = DEFAULT_GAP
"""The gap by which a step is chosen: the lowest on validation."""


@dataclass(frozen=True)
class Measured:
    """The main metrics of a network on validation.

    Attributes:
        policy: metric name -> value, under the policy that is chosen on validation.
        final: metric name -> value, at the final exit.
        theta: theta of the policy; None if all samples are answered at the final exit.
        main_answer_share: the largest share of the answers that one class has, under the policy.
    """

    policy: dict[str, float]
    final: dict[str, float]
    theta: float | None
    main_answer_share: float = 0.0


@dataclass(frozen=True)
class Step:
    """A step of the path.

    Attributes:
        trail: index of the beta; each beta of a sweep has a trail of steps.
        number: number of the step in the trail; 0 is the unpruned network.
        beta: weight of the privileged group's curvature; None for the unpruned network.
        fraction: share of the prunable parameters that are zero.
        measured: the metrics on validation.
    """

    trail: int
    number: int
    beta: float | None
    fraction: float
    measured: Measured

    def text(self) -> str:
        """The step on one line, for a log."""
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
        """The gap `CRITERION` on validation, under the policy."""
        return self.measured.policy[CRITERION]


@dataclass
class Trace:
    """All steps so far.

    Attributes:
        steps: the steps, the unpruned network first.
        removed: trail -> number of the step at which each of the P prunable parameters was removed,
            0 where it is kept, (P,) uint8.
        ended: why the last trail ended; empty if it has not ended.
    """

    steps: list[Step]
    removed: dict[int, Tensor] = field(default_factory=dict)
    ended: str = ""

    def save(self, path: Path, stamp: str) -> None:
        """Write the trace to a file.

        Args:
            path: the file.
            stamp: SHA-256 of the file with the unpruned network.
        """
        info = {"steps": [asdict(s) for s in self.steps], "ended": self.ended, "stamp": stamp}
        tensors = {str(trail): removed for trail, removed in self.removed.items()}
        write_atomically(path, save(tensors, {"trace": json.dumps(info)}))

    @classmethod
    def load(cls, path: Path, stamp: str) -> "Trace":
        """Read a trace from a file; arguments as for `save`.

        Raises:
            UserError: the file is damaged, or belongs to another network.
        """
        try:
            with safe_open(path, "pt") as file:
                info = json.loads(file.metadata()["trace"])
                # An open safetensors file has keys, but cannot be iterated itself.
                removed = {int(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            steps = [Step(**s | {"measured": Measured(**s["measured"])}) for s in info["steps"]]
        except Exception as error:
            raise UserError(
                f"{path} is damaged ({reason(error)}); remove it and prune again"
            ) from None
        if info["stamp"] != stamp:
            raise UserError(
                f"{path.parent.parent} holds a pruning of another network; choose another "
                f"{option('out')}"
            )
        return cls(steps, removed, info["ended"])


def walk(
    parameters: Mapping[str, Tensor],
    config: PruneConfig,
    *,
    score: ScoreFunction,
    measure: Callable[[], Measured],
    trace: Trace,
    store: Callable[[Trace], None],
) -> None:
    """Prune step by step, along one trail for each beta, and measure each step.

    Args:
        parameters: name -> prunable parameter; pruned in place.
        config: the settings of the pruning.
        score: the scores of the parameters, of which the lowest are removed.
        measure: measures the network on validation.
        trace: the steps so far; continued in place.
        store: stores the trace; called after each step.
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
            step = Step(trail=trail, number=number, beta=beta, fraction=share, measured=measure())
            trace.steps.append(step)
            trace.ended = "" if config.sweeps else ending(trace.steps, config)
            store(trace)


def fractions(config: PruneConfig) -> list[float]:
    """The share of zeros at each step: equal steps to the ratio, or the ratios of a sweep."""
    if config.sweeps:
        return [ratio for ratio in config.ratios if ratio > 0]
    (ratio,) = config.ratios
    return [ratio * i / config.steps for i in range(1, config.steps + 1)] if ratio > 0 else []


def remove(removed: Tensor, scores: Mapping[str, Tensor], fraction: float, number: int) -> None:
    """Mark the parameters with the lowest scores as removed, until a share of all is removed.

    Args:
        removed: number of the step at which each parameter was removed, 0 where it is kept, (P,)
            uint8; changed in place. Parameters that are already removed are not ranked.
        scores: parameter name -> scores, in the order of `removed`.
        fraction: share of the P parameters that is removed afterwards.
        number: number of this step.
    Raises:
        UserError: a score is not finite.
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
    """The masks after a step of a trail.

    Args:
        removed: the trail, as in `Trace.removed`.
        parameters: name -> parameter, in the order of `removed`.
        number: number of the step; by default the last one.
    """
    kept = (removed == 0) | (removed > number)
    parts = torch.split(kept, [p.numel() for p in parameters.values()])
    return {n: part.view(p.shape) for (n, p), part in zip(parameters.items(), parts, strict=True)}


def ending(steps: list[Step], config: PruneConfig) -> str:
    """Why a trail ends at its last step; empty if it does not end there."""
    last, start = steps[-1], steps[0]
    if config.stop and config.patience is not None:
        if last.f1 < start.f1 - config.tolerance:
            return f"F1 fell by more than {config.tolerance:g}"
        best = int(np.argmin([step.gap for step in steps]))
        if len(steps) - 1 - best >= config.patience:
            return f"{METRICS[CRITERION].label} has not fallen for {config.patience} step(s)"
    return "the ratio is reached" if last.number == config.steps else ""


def choose(steps: list[Step], config: PruneConfig) -> tuple[int, str]:
    """Choose a step.

    It is the step with the lowest gap on validation of all whose F1 is at most the tolerance below
    the unpruned network's, and of equal ones the earliest. A step at which one class has 99 % or
    more of the answers is not chosen. If `config.stop` is false, it is the last step.

    Returns:
        Index into the steps, and the reason for the choice.
    """
    if not config.stop:
        return len(steps) - 1, "the last step, as prune.stop is false"
    least_f1 = steps[0].f1 - config.tolerance
    allowed = [
        i
        for i, step in enumerate(steps)
        if i == 0 or (step.f1 >= least_f1 and step.measured.main_answer_share < COLLAPSED)
    ]
    best, label = min(allowed, key=lambda i: steps[i].gap), METRICS[CRITERION].label
    if best == 0:
        reason = f"nothing is pruned: no step has a lower {label} on validation"
    else:
        reason = f"the lowest {label} on validation"
    return best, f"{reason} with F1 at most {config.tolerance:g} below the unpruned network's"


@torch.no_grad()
def _restore(
    parameters: Mapping[str, Tensor], original: Mapping[str, Tensor], masks: Masks
) -> None:
    """Set the parameters to their original values, pruned by the masks."""
    for name, parameter in parameters.items():
        parameter.copy_(original[name])
    zero(parameters, masks)
