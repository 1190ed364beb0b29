"""The steps of an edited network: what was measured, and the file from which a walk resumes."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from fairexit.errors import UserError, option, reason
from fairexit.evaluation.rules import DEFAULT_GAP
from fairexit.files import write_atomically
from fairexit.metrics.record import METRICS

DECIDING_GAP = DEFAULT_GAP
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
        beta: weight of the privileged group's curvature; None without one.
        fraction: share of the units that are edited.
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
        beta = "" if self.beta is None else f" beta {self.beta:g}"
        return f"step {self.number}{beta} edited {self.fraction:.1%} val {numbers}"

    @property
    def f1(self) -> float:
        """Macro F1 on validation, under the policy."""
        return self.measured.policy["f1"]

    @property
    def gap(self) -> float:
        """The gap `DECIDING_GAP` on validation, under the policy."""
        return self.measured.policy[DECIDING_GAP]


@dataclass
class Trace:
    """All steps so far.

    Attributes:
        steps: the steps, the unpruned network first.
        edited: trail -> number of the step at which each of the P units was edited, 0 where it was
            not, (P,) uint8.
        ended: why the last trail ended; empty if it has not ended.
    """

    steps: list[Step]
    edited: dict[int, Tensor] = field(default_factory=dict)
    ended: str = ""

    def save(self, path: Path, stamp: str) -> None:
        """Write the trace to a file.

        Args:
            path: the file.
            stamp: SHA-256 of the file with the unpruned network.
        """
        info = {"steps": [asdict(s) for s in self.steps], "ended": self.ended, "stamp": stamp}
        tensors = {str(trail): edited for trail, edited in self.edited.items()}
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
                edited = {int(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
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
        return cls(steps, edited, info["ended"])
