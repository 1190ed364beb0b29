"""Optimisers by name, from torch and timm, with their options and defaults."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fairexit.config import RunConfig
from fairexit.config_train import TrainConfig
from fairexit.errors import UserError, nearest, reason, short
from fairexit.models import backbone_family

SGD = "sgd"
SGD_DEFAULTS = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-5}
"""The paper's settings, and the momentum and weight decay of its released scripts."""
_OWN_SETTINGS = ("lr", "momentum", "weight_decay")
_TRIAL_SIZE = 224
"""Image side with which a backbone is built to look at its layers; any would do."""

Factory = Callable[..., torch.optim.Optimizer]


def with_optimizer(config: RunConfig) -> RunConfig:
    """The settings of a run with everything of its optimiser filled in.

    Raises:
        UserError: as for `filled`, or `train.momentum` is given, but the optimiser is not SGD.
    """
    model, train = config.model, config.train
    name = train.optimizer or default_optimizer(model.backbone, model.stem)
    if name != SGD and train.momentum is not None:
        raise UserError(
            f"train.momentum belongs to sgd, but the optimiser of {model.backbone} is {name}; "
            "leave it out, or set train.optimizer to sgd"
        )
    return replace(config, train=filled(train, name))


def filled(train: TrainConfig, name: str) -> TrainConfig:
    """The settings with an optimiser and the defaults of its learning rate and weight decay.

    Args:
        train: the settings.
        name: the optimiser.
    Raises:
        UserError: there is no such optimiser, an option is unknown or has a wrong value, or the
            optimiser cannot train a convolutional network.
    """
    factory = optimizer_factory(name)
    defaults = SGD_DEFAULTS if name == SGD else _signature_defaults(factory)
    values: dict[str, Any] = {
        key: defaults[key] if getattr(train, key) is None else getattr(train, key)
        for key in defaults
    }
    train = replace(train, optimizer=name, **values)
    if train.lr is None:
        raise UserError(f"optimiser '{name}' has no learning rate of its own; set train.lr")
    _check_options(name, factory, train.optimizer_options)
    _try_out(train)
    return train


@lru_cache
def default_optimizer(backbone: str, stem: str) -> str:
    """`adamw` for layer (or RMS) and without batch normalisation, `sgd` for all other backbones."""
    family = backbone_family(backbone)
    try:
        with torch.device("meta"):  # layers without storage
            network = family.network(backbone, 2, stem=stem, image_size=_TRIAL_SIZE)
    except Exception as error:  # a library's or plugin's own code
        raise UserError(
            f"no optimiser can be chosen for {backbone} ({short(reason(error), 200)}); set "
            "train.optimizer, for example to adamw"
        ) from None
    layers = [*network.modules()]
    has_batch_norm = any(isinstance(layer, _BatchNorm) for layer in layers)
    # timm has root mean square normalisation under several names.
    has_layer_norm = any(
        isinstance(layer, nn.LayerNorm) or "rmsnorm" in type(layer).__name__.lower()
        for layer in layers
    )
    return "adamw" if has_layer_norm and not has_batch_norm else SGD


def optimizer_factory(name: str) -> Factory:
    """The class of an optimiser by its lower-case name; torch's where timm has one of that name.

    Raises:
        UserError: there is no such optimiser, or it needs a package or device that is missing.
    """
    torch_classes: dict[str, Factory] = {
        key.lower(): value
        for key, value in vars(torch.optim).items()
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
    }
    if name in torch_classes:
        return torch_classes[name]
    from timm import optim as timm_optim

    known = [*map(str, timm_optim.list_optimizers())]  # type: ignore[attr-defined]
    if name not in known:
        hint = nearest(name, {*torch_classes, *known})
        raise UserError(f"train.optimizer is '{short(name)}', which torch and timm lack; {hint}")
    try:
        return timm_optim.get_optimizer_class(name, bind_defaults=True)  # type: ignore[attr-defined]
    except (AssertionError, ImportError) as error:
        raise UserError(f"train.optimizer is '{name}', which is not usable here: {error}") from None


def build_optimizer(
    groups: list[dict[str, Any]], config: TrainConfig, device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser of a run.

    Args:
        groups: parameters and their settings, see `parameter_groups`.
        config: settings whose optimiser is filled in, see `with_optimizer`.
        device: where the parameters are.
    """
    assert config.optimizer is not None
    options = dict(config.optimizer_options)
    for key in _OWN_SETTINGS:
        if (value := getattr(config, key)) is not None:
            options[key] = value
    if config.optimizer == SGD:
        options.setdefault("nesterov", options["momentum"] > 0)
    # The fused form makes one pass over the weights, but does not work with the gradient scaler
    # that mixed precision uses on a GPU.
    if config.optimizer in (SGD, "adamw") and device.type == "cpu":
        options.setdefault("fused", True)
    return optimizer_factory(config.optimizer)(groups, **_as_tuples(options))


def _as_tuples(options: dict[str, Any]) -> dict[str, Any]:
    """Options with lists, which is all that YAML has, as tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}


def _parameters(factory: Factory) -> dict[str, inspect.Parameter]:
    """The named arguments of an optimiser but for the network's parameters."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    _, *rest = inspect.signature(factory).parameters.values()
    return {p.name: p for p in rest if p.kind in named}


def _signature_defaults(factory: Factory) -> dict[str, Any]:
    """Default learning rate and weight decay of an optimiser, as far as it has them."""
    parameters = _parameters(factory)
    values = {k: parameters[k].default for k in ("lr", "weight_decay") if k in parameters}
    return {k: float(v) for k, v in values.items() if isinstance(v, int | float)}


def _check_options(name: str, factory: Factory, options: dict[str, Any]) -> None:
    """Raise a UserError for an option that the optimiser lacks, or a value of the wrong kind."""
    known = {k: p for k, p in _parameters(factory).items() if k not in ("lr", "weight_decay")}
    if name == SGD:
        known.pop("momentum", None)
    for key, value in options.items():
        where = f"train.optimizer_options.{short(key)}"
        if key in ("lr", "weight_decay") or (key == "momentum" and name == SGD):
            raise UserError(f"{where} is set as train.{key}; move it there")
        if key not in known:
            raise UserError(f"{where}: {name} has no such option; {nearest(str(key), known)}")
        default = known[key].default
        is_flag = isinstance(default, bool)
        if is_flag != isinstance(value, bool) and (is_flag or isinstance(default, int | float)):
            rule = "it must be true or false" if is_flag else "it cannot be true or false"
            raise UserError(f"{where} is {short(repr(value))}; {rule}")


def _try_out(config: TrainConfig) -> None:
    """Take a step with parameters of the usual shapes, which shows what an optimiser cannot do."""
    shapes = [(2,), (2, 2), (2, 2, 3, 3)]
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    try:
        optimizer = build_optimizer([{"params": parameters}], config, torch.device("cpu"))
        optimizer.step()
    except Exception as error:  # each optimiser has checks of its own
        options = f" with {short(config.optimizer_options)}" if config.optimizer_options else ""
        raise UserError(
            f"train.optimizer {config.optimizer}{options} cannot train this network: "
            f"{short(reason(error), 200)}"
        ) from None
