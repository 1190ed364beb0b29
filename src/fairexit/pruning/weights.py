"""The weights of a network along its path: how each step's weights are had again."""

from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from fairexit.errors import UserError, reason
from fairexit.files import write_atomically
from fairexit.pruning.edits import Edit, apply
from fairexit.pruning.trace import Step, Trace
from fairexit.pruning.units import Units, masks_of, parameters_of
from fairexit.training.checkpoint import save_tensors


@dataclass(kw_only=True)
class PathWeights:
    """The weights of a network along its path.

    Where nothing is trained between the steps, the weights of a step are the unpruned ones, edited.
    Otherwise those of the last step and of the best one so far are stored.

    Args:
        net: the network, with its unpruned weights.
        units: its units.
        edit: what an edit makes of a weight.
        folder: where the weights are stored.
        trained: whether the network is trained between the steps.
    """

    net: nn.Module
    units: Units
    edit: Edit
    folder: Path
    trained: bool
    _unpruned: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self._unpruned = {k: v.detach().cpu().clone() for k, v in self.net.state_dict().items()}

    def apply(self, edited: Tensor, number: int = 255) -> None:
        """Edit the network's units that are edited after a step, all of them."""
        apply(self.edit, parameters_of(self.units), masks_of(edited, self.units, number))

    def restore(self, trail: int, number: int, edited: Tensor) -> None:
        """Give the network the weights of a step.

        Args:
            trail: the step's trail.
            number: its number; 0 for the unpruned network.
            edited: the trail, as in `Trace.edited`.
        Raises:
            UserError: the stored weights are missing or damaged.
        """
        if self.trained and number:
            path = self._file(trail, number)
            try:
                self.net.load_state_dict(load_file(path))
            except Exception as error:
                raise UserError(
                    f"{path} is missing or damaged ({reason(error)}); remove "
                    f"{path.parent.parent} and prune again"
                ) from None
            return
        self.net.load_state_dict(self._unpruned)
        self.apply(edited, number)

    def store(self, step: Step) -> None:
        """Store the network's weights as those of a step, if they cannot be had otherwise."""
        if self.trained:
            file = self._file(step.trail, step.number)
            write_atomically(file, save_tensors(self.net.state_dict()))

    def tidy(self, trace: Trace, best: int) -> None:
        """Remove stored weights but those of the last step and of the best one."""
        needed = {self._file(s.trail, s.number) for s in (trace.steps[-1], trace.steps[best])}
        for file in set(self.folder.glob("step-*.safetensors")) - needed:
            file.unlink()

    def _file(self, trail: int, number: int) -> Path:
        return self.folder / f"step-{trail}-{number}.safetensors"
