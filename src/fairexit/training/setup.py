"""What is checked and put together before a training begins."""

from dataclasses import replace

import torch

from fairexit.config import RunConfig
from fairexit.errors import UserError
from fairexit.methods import Distilled, Method, methods
from fairexit.metrics.record import METRICS
from fairexit.models import backbone_family, heads
from fairexit.plugin_records import checksums, require
from fairexit.plugins import loaded_files
from fairexit.runs import Run
from fairexit.training.checkpoint import load_net


def record_plugins(config: RunConfig) -> RunConfig:
    """The settings with the checksums of the plugin files that they use.

    Raises:
        UserError: a name is unknown, or a recorded plugin is not imported, or with other content.
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
    """A line for a precision that this machine has no arithmetic for."""
    train = config.train
    on_cpu = train.device == "cpu" or (train.device == "auto" and not torch.cuda.is_available())
    if train.precision == "bf16-mixed" and on_cpu and emulates_bfloat16():
        return (
            "note: train.precision bf16-mixed is emulated on this processor, many times slower "
            "than 32-true, the default"
        )
    return None


def emulates_bfloat16() -> bool:
    """Whether this is an x86 processor without AVX-512."""
    return torch.backends.cpu.get_cpu_capability() in ("NO AVX", "AVX", "AVX2")


def teach(method: Distilled, teacher: Run) -> None:
    """Give a method its teacher.

    Raises:
        UserError: it was trained for other classes, or is another network.
    """
    if tuple(teacher.description["label2id"]) != method.task.classes:
        raise UserError(f"the teacher {teacher.path} was not trained for the same classes")
    method.set_teacher(load_net(teacher))


def finetune_config(config: RunConfig) -> RunConfig:
    """The settings of further training after pruning.

    The run's own, for `prune.finetune` epochs at `prune.finetune_lr`, without warm-up and in one
    process, as the pruning that it ends is.

    Raises:
        UserError: the method keeps a part of the network outside it, which no run stores.
    """
    prune, name = config.prune, config.method["name"]
    assert prune is not None
    if methods[name].fold is not Method.fold:
        raise UserError(
            f"method '{name}' cannot be fine-tuned, because its training heads are not stored; set "
            "prune.finetune to 0"
        )
    lr = prune.finetune_lr or config.train.lr / 10
    train = replace(config.train, epochs=prune.finetune, lr=lr, warmup=0.0, devices=1)
    return replace(config, model=replace(config.model, pretrained=False), train=train)
