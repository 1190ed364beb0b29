"""timm's models that run in stages, cut at the modules that timm's `feature_info` names.

The cut is the same for every architecture. The first stage is the model without the modules that
come after the stage, the head is the model without the modules that come before it, and the modules
in between run in sequence. A random image is used to check that the output is unchanged.
"""

import copy
import logging
import sys
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fairexit.errors import UserError
from fairexit.models.backbone import Backbone, Family, backbones
from fairexit.models.heads import Head
from fairexit.models.normalisation import Normalisation
from fairexit.types import Exit


class _Removed(nn.Module):
    """Takes the place of a removed module and returns its first input."""

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        return x


class _Entry(nn.Module):
    """A model without the modules after its first stage."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.forward_features(x)


class _Tail(nn.Module):
    """A model without its stages and its classifier."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.forward_head(self.model.forward_features(x), pre_logits=True)


class TimmBackbone(Backbone):
    """A backbone whose stages may return tokens (B, N, C) or maps (B, H, W, C).

    Attributes:
        prefix_tokens: number of tokens before those of the image patches.
        layout: "NCHW" or "NHWC", the layout of the maps.
    """

    prefix_tokens = 0
    layout = "NCHW"

    def to_map(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            batch, tokens, width = x[:, self.prefix_tokens :].shape
            side = round(tokens**0.5)
            x = x[:, self.prefix_tokens :].transpose(1, 2).reshape(batch, width, side, -1)
        return x.permute(0, 3, 1, 2) if self.layout == "NHWC" else x


@backbones.register("timm")
class TimmFamily(Family):
    """All models of timm (Wightman 2019); one that cannot be cut is refused when it is built.

    Exits sit after the last four stages of `feature_info` or, if all stages have the same
    resolution (ViT), after evenly spaced blocks.
    """

    prefix: ClassVar[str] = "timm/"

    def names(self) -> list[str]:
        import timm

        return [self.prefix + name for name in timm.list_models()]

    def network(
        self, name: str, num_classes: int, *, stem: str, image_size: int | None
    ) -> nn.Module:
        import timm

        timm_name = name.removeprefix(self.prefix)
        config = timm.get_pretrained_cfg(timm_name)
        size: dict[str, Any] = {}
        if config is not None and config.fixed_input_size:
            if image_size is None:
                raise UserError(f"{name} is built for a single image size; set image_size")
            size = {"img_size": image_size}
        try:
            network: nn.Module = timm.create_model(timm_name, num_classes=num_classes, **size)
        except (AssertionError, ArithmeticError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise UserError(f"timm cannot build {name} with {size}: {reason}") from error
        if size:
            _check_patches(name, network, size["img_size"])
        return network

    def classifier(self, network: Any) -> nn.Linear:
        layer = network.get_classifier()
        if not isinstance(layer, nn.Linear):
            raise _cannot_cut(network, "it does not end in one linear layer")
        return layer

    def weights(self, name: str) -> dict[str, Tensor]:
        import timm

        logger = logging.getLogger("huggingface_hub")
        level = logger.level
        logger.setLevel(logging.ERROR)  # it warns at every retry when offline
        try:
            model: nn.Module = timm.create_model(name.removeprefix(self.prefix), pretrained=True)
        finally:
            logger.setLevel(level)
        return dict(model.state_dict())

    def normalisations(self, name: str) -> list[Normalisation]:
        from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg

        timm_name = name.removeprefix(self.prefix)
        every = [c for c in get_arch_pretrained_cfgs(timm_name).values() if c.has_weights]
        default = get_pretrained_cfg(timm_name)
        if default is not None and default.has_weights:
            every.insert(0, default)
        return [Normalisation(tuple(c.mean), tuple(c.std)) for c in every]

    def hub_id(self, name: str) -> str | None:
        import timm

        config = timm.get_pretrained_cfg(name.removeprefix(self.prefix))
        return None if config is None or not config.has_weights else config.hf_hub_id

    def adapt(self, state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        # timm's own filter renames old keys and resizes position embeddings
        module = sys.modules[type(network).__module__]
        convert = getattr(module, "checkpoint_filter_fn", None)
        return state if convert is None else dict(convert(state, network))

    def cut(self, network: Any, *, image_size: int | None) -> Backbone:
        network.eval()
        side = image_size or 64
        image = torch.rand(1, 3, side, side)
        num_parameters = sum(p.numel() for p in network.parameters())
        classifier, cuts = self.classifier(network), _cut_points(network)
        try:
            expected = _run_whole(network, image)
        except (AssertionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"timm's {type(network).__name__} cannot take {side} px images: {error}"
            ) from error
        reason = "its stages do not run in plain sequence"
        try:
            backbone = _cut(network, classifier, cuts, image_size)
            same = _is_same(backbone, image, expected)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise _cannot_cut(network, reason) from error
        if not same or sum(p.numel() for p in backbone.parameters()) != num_parameters:
            raise _cannot_cut(network, reason)
        return backbone.train()


def _cut(
    network: Any, classifier: nn.Linear, cuts: list[dict[str, Any]], image_size: int | None
) -> TimmBackbone:
    """Cut the network after each module that `cuts` (entries of `feature_info`) names."""
    names = _run_order(network, [cut["module"] for cut in cuts])
    ends = [names.index(cut["module"]) + 1 for cut in cuts]
    between = [
        nn.Sequential(*(network.get_submodule(name) for name in names[start:end]))
        for start, end in pairwise(ends)
    ]
    _remove(network, names[ends[0] : ends[-1]])
    tail = copy.deepcopy(network)
    last = next(key for key, module in network.named_modules() if module is classifier)
    _remove(tail, [*names[: ends[0]], last])
    for name, _ in list(tail.named_parameters(recurse=False)):
        setattr(tail, name, None)
    _remove(network, names[ends[-1] :])
    fixed = bool(network.pretrained_cfg.get("fixed_input_size"))
    backbone = TimmBackbone(
        [_Entry(network), *between],
        [cut["num_chs"] for cut in cuts],
        Head(_Tail(tail), classifier),
        min_size=image_size if fixed and image_size else 32,
        fixed_size=fixed,
    )
    backbone.prefix_tokens = getattr(network, "num_prefix_tokens", 0)
    backbone.layout = getattr(network, "output_fmt", "NCHW")
    return backbone


def _cut_points(network: Any) -> list[dict[str, Any]]:
    """The four entries of `feature_info` after which the network is cut."""
    info = getattr(network, "feature_info", None) or []
    stages = list(getattr(info, "info", info))
    if len(stages) < 4:
        raise _cannot_cut(network, f"it has {len(stages)} feature stages, four are needed")
    if len({stage["reduction"] for stage in stages}) == 1:
        return [stages[len(stages) * quarter // 4 - 1] for quarter in (1, 2, 3, 4)]
    return stages[-4:]


def _run_order(module: nn.Module, cuts: list[str]) -> list[str]:
    """Names of modules in running order; one that contains a cut is replaced by its children."""
    names = []
    for name, child in module.named_children():
        inside = [cut.removeprefix(f"{name}.") for cut in cuts if cut.startswith(f"{name}.")]
        names += [f"{name}.{part}" for part in _run_order(child, inside)] if inside else [name]
    return names


def _remove(network: nn.Module, names: list[str]) -> None:
    """Make the named modules return their input."""
    for name in names:
        network.set_submodule(name, _Removed())


@torch.no_grad()
def _run_whole(network: Any, image: Tensor) -> Exit:
    """Logits and final features of the uncut network."""
    features = network.forward_head(network.forward_features(image), pre_logits=True)
    return Exit(network(image), features)


@torch.no_grad()
def _is_same(backbone: TimmBackbone, image: Tensor, expected: Exit) -> bool:
    """Whether the stages return maps of the stated widths and the head the expected output."""
    x = image
    for stage, width in zip(backbone.stages, backbone.widths, strict=True):
        x = stage(x)
        shape = backbone.to_map(x).shape
        if len(shape) != 4 or shape[1] != width:
            return False
    # relative to the largest value, so that layers initialised near zero are compared too
    return all(
        bool((part - whole).abs().max() <= 1e-4 * whole.abs().max())
        for part, whole in zip(backbone.head(x), expected, strict=True)
    )


def _check_patches(name: str, network: Any, image_size: int) -> None:
    """Raise a UserError if the image size is no multiple of the patch size."""
    size = getattr(getattr(network, "patch_embed", None), "patch_size", 1)
    patch = size if isinstance(size, int) else max(size)  # some families have one, some a pair
    if image_size % patch:
        raise UserError(
            f"image_size is {image_size}; {name} reads patches of {patch} px, so it must be a "
            f"multiple of {patch}"
        )


def _cannot_cut(network: nn.Module, reason: str) -> UserError:
    return UserError(f"timm's {type(network).__name__} cannot be cut into stages: {reason}")
