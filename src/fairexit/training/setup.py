"""Checks and preparations before a training run starts."""

import math
from dataclasses import replace

import torch

from fairexit.config import RunConfig
from fairexit.errors import UserError, short
from fairexit.methods import Distilled, Method, Refitted, Upweighted, methods
from fairexit.metrics.record import METRICS
from fairexit.models import ExitNet, backbone_family, heads
from fairexit.plugin_records import checksums, require
from fairexit.plugins import loaded_files
from fairexit.processes import is_first
from fairexit.runs import Run
from fairexit.terminal import note
from fairexit.training.checkpoint import load_net
from fairexit.training.optimizers import with_optimizer
from fairexit.training.start import start_network
from fairexit.training.targets import listed_weights
from fairexit.types import Task

PAPER_WEIGHTS = (0.3, 0.45, 0.6, 0.75, 0.9)
"""Loss weights of the exits after the four stages, and of the final exit."""


def exit_weights(net: ExitNet, setting: str | list[float]) -> list[float]:
    """The loss weight alpha of each exit; a plain network's only exit has weight 1.

    Args:
        net: the network.
        setting: `train.exit_weights`: `paper`, `equal` or a list.
    Raises:
        UserError: the list has another length, a weight is negative or not finite, or all are 0.
    """
    if isinstance(setting, list):
        fits = len(setting) == net.num_exits and all(0 <= w < math.inf for w in setting)
        if not fits or not any(setting):
            raise UserError(
                f"train.exit_weights is {short(setting)}; give {net.num_exits} weights that are "
                f"not negative and not all 0, for the exits {', '.join(net.exit_names)}"
            )
        return setting
    if setting == "equal" or net.num_exits == 1:
        return [1.0] * net.num_exits
    *internal, _ = net.positions
    return [*(PAPER_WEIGHTS[p] for p in internal), PAPER_WEIGHTS[-1]]


def build(config: RunConfig, task: Task, image_size: int) -> Method:
    """The method of a run and its network, with initial weights.

    Args:
        config: the run's settings.
        task: the classes and groups.
        image_size: side of the images in pixels.
    """
    net, loaded, text = start_network(config.model, task, image_size)
    if text and is_first():
        note(text)
    options = {k: v for k, v in config.method.items() if k != "name"}
    weights = exit_weights(net, config.train.exit_weights)
    listed_weights(config.train.class_weights, task)  # refused before the training
    method = methods.create(config.method["name"], net, task, weights, **options)
    method.label_smoothing = config.train.label_smoothing
    if config.model.start is not None and config.train.freeze == "backbone":
        _check_final(method, config, loaded)
    return method


def untrained(config: RunConfig) -> RunConfig:
    """The settings of the same network with random weights, which reads no file."""
    train = replace(config.train, freeze="none")
    return replace(config, model=config.model.untrained, train=train)


def _check_final(method: Method, config: RunConfig, loaded: tuple[str, ...]) -> None:
    """Raise a UserError unless the final exit is trained and can be frozen."""
    if "f" not in loaded:
        raise UserError(
            f"train.freeze is backbone, but the final exit of {config.model.start} does not fit "
            "these classes; freeze only the trunk"
        )
    if any(not p.requires_grad for p in method.net.backbone.head.parameters()):
        raise UserError(
            f"train.freeze is backbone, but method '{config.method['name']}' trains a classifier "
            "of its own at the final exit; freeze only the trunk"
        )


def resolve(config: RunConfig) -> RunConfig:
    """The settings with everything filled in that depends on names: method, optimiser, plugins.

    So a run says what it was trained with, whatever the defaults of later versions are.

    Raises:
        UserError: as for `record_plugins` and `with_optimizer`.
    """
    config = record_plugins(config)
    name = config.method["name"]
    defaults = {k: o.default for k, o in methods.options(name).items() if not o.required}
    method = {"name": name, **defaults, **config.method}
    return with_optimizer(replace(config, method=method))


def record_plugins(config: RunConfig) -> RunConfig:
    """The settings, with the checksums of the plugin files that they use.

    Raises:
        UserError: a name is unknown, or a recorded plugin is not imported or has other content.
    """
    require(config.plugins, "the configuration")
    if not loaded_files():
        return config
    model = config.model
    family = type(backbone_family(model.backbone))
    used: list[object] = [methods[config.method["name"]], heads[model.head], family]
    if config.train.select in METRICS:
        used.append(METRICS[config.train.select])
    return replace(config, plugins=checksums(used))


def slow_precision(config: RunConfig) -> str | None:
    """A note to the user if the machine has to emulate the precision; None otherwise."""
    train = config.train
    on_cpu = train.device == "cpu" or (train.device == "auto" and not torch.cuda.is_available())
    if train.precision == "bf16-mixed" and on_cpu and emulates_bfloat16():
        return (
            "note: train.precision bf16-mixed is emulated on this processor, many times slower "
            "than 32-true, the default"
        )
    return None


def emulates_bfloat16() -> bool:
    """Whether bfloat16 is emulated, as on an x86 processor without AVX-512."""
    return torch.backends.cpu.get_cpu_capability() in ("NO AVX", "AVX", "AVX2")


def teach(method: Distilled, teacher: Run) -> None:
    """Load a run's network as the teacher of a method.

    Raises:
        UserError: the teacher was trained for other classes, or its network does not fit.
    """
    if tuple(teacher.description["label2id"]) != method.task.classes:
        raise UserError(f"the teacher {teacher.path} was not trained for the same classes")
    method.set_teacher(load_net(teacher))


def finetune_config(config: RunConfig, epochs: int) -> RunConfig:
    """The settings of further training of an edited network.

    They are the settings of the run, but for the epochs, which are trained at `prune.finetune_lr`,
    without warm-up, restarts and early stopping, and in one process, in which the pruning runs too.

    Args:
        config: the settings of the run, with those of the pruning.
        epochs: number of epochs.
    Raises:
        UserError: the method trains heads outside the network, which a run does not store, or it
            refits last layers, which further training would undo.
    """
    prune, name = config.prune, config.method["name"]
    assert prune is not None
    if methods[name].fold is not Method.fold:
        raise UserError(
            f"method '{name}' cannot be fine-tuned, because its training heads are not stored; set "
            "prune.finetune and prune.step_epochs to 0"
        )
    if issubclass(methods[name], Refitted):
        raise UserError(
            f"method '{name}' cannot be fine-tuned, because further training would undo its refit; "
            "set prune.finetune and prune.step_epochs to 0"
        )
    if issubclass(methods[name], Upweighted) and prune.finetune_data == "val":
        raise UserError(
            f"prune.finetune_data is val, but method '{name}' draws the training "
            "images that were wrong more often; choose train"
        )
    before = with_optimizer(config).train
    freeze = "none" if isinstance(before.freeze, int) else before.freeze
    assert before.lr is not None
    lr = prune.finetune_lr or before.lr / 10
    train = replace(
        before,
        epochs=epochs,
        lr=lr,
        head_lr=before.head_lr and before.head_lr * lr / before.lr,
        warmup=0.0,
        restarts=[],
        restart_lr=None,
        early_stopping=None,
        devices=1,
        freeze=freeze,
    )
    return replace(config, model=config.model.untrained, train=train)
