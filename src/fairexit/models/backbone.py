"""The interface of a backbone: an existing network, cut into four stages and a head.

A new backbone is a subclass of `Family` in a file of its own, registered in `backbones`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

from fairexit.models.heads import Head
from fairexit.models.normalisation import Normalisation
from fairexit.registry import Registry


class Backbone(nn.Module):
    """A network as a sequence of stages, and its final head.

    Args:
        stages: the stages; the first includes the stem.
        widths: number of channels after each stage.
        head: the network's own classifier (CLF_f), which reads the last stage's output.
        min_size: smallest image height and width in pixels.
        fixed_size: whether images must have exactly the smallest size.

    Attributes:
        normalise: what happens to the images, with values from 0 to 1, before the first stage.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        widths: Sequence[int],
        head: Head,
        *,
        min_size: int,
        fixed_size: bool = False,
    ) -> None:
        super().__init__()
        self.normalise: nn.Module = nn.Identity()
        self.stages = nn.ModuleList(stages)
        self.widths = list(widths)
        self.head = head
        self.min_size = min_size
        self.fixed_size = fixed_size

    def to_map(self, x: Tensor) -> Tensor:
        """A stage's output as a feature map, (B, C, H, W)."""
        return x


class Family(ABC):
    """A family of networks from one library, and how to cut them into stages."""

    prefix: ClassVar[str] = ""
    """Common beginning of the networks' names."""
    stems: ClassVar[tuple[str, ...]] = ("standard",)

    @abstractmethod
    def names(self) -> list[str]:
        """Names of all networks of the family, with the prefix."""

    @abstractmethod
    def network(
        self, name: str, num_classes: int, *, stem: str, image_size: int | None
    ) -> nn.Module:
        """The library's network with random weights, not yet cut."""

    @abstractmethod
    def classifier(self, network: nn.Module) -> nn.Module:
        """The network's last layer; pretrained weights may have another shape there."""

    @abstractmethod
    def cut(self, network: nn.Module, *, image_size: int | None) -> Backbone:
        """Cut the network into stages; its modules are moved, not copied."""

    @abstractmethod
    def weights(self, name: str) -> dict[str, Tensor]:
        """The library's pretrained weights, downloaded if necessary."""

    def normalisations(self, name: str) -> list[Normalisation]:
        """The normalisation of each of the library's weights of a network, `weights` first.

        Empty if it is not known; `model.normalisation` must then give it.
        """
        return []

    def hub_id(self, name: str) -> str | None:
        """The repository of the Hugging Face Hub that holds the weights; None if it is not known.

        Args:
            name: name of the network, with the prefix.
        """
        return None

    def adapt(self, state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        """Convert weights from a file to the form that the network expects."""
        return state


class TorchvisionFamily(Family):
    """Networks from torchvision."""

    def network(
        self, name: str, num_classes: int, *, stem: str, image_size: int | None
    ) -> nn.Module:
        return get_model(name, weights=None, num_classes=num_classes)

    def weights(self, name: str) -> dict[str, Tensor]:
        best = get_model_weights(name).DEFAULT
        return dict(best.get_state_dict(progress=False, check_hash=True))

    def normalisations(self, name: str) -> list[Normalisation]:
        weights = get_model_weights(name)
        # Weights without categories have no classifier, so they are not of the whole network.
        transforms = [w.transforms() for w in weights if w.meta.get("categories")]
        transforms.insert(0, weights.DEFAULT.transforms())
        return [Normalisation(tuple(t.mean), tuple(t.std)) for t in transforms]

    def hub_id(self, name: str) -> str | None:
        import timm

        # timm publishes torchvision's weights again: tv_in1k are V1, tv2_in1k are V2.
        version = get_model_weights(name).DEFAULT.name.removeprefix("IMAGENET1K_V")
        config = timm.get_pretrained_cfg(f"{name}.tv{version.replace('1', '')}_in1k")
        return None if config is None else config.hf_hub_id


backbones: Registry[Family] = Registry("backbone", "fairexit.models", Family)
