"""Train a run, or fine-tune a pruned one: check, set up, and call the training loop."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from lightning.fabric import Fabric
from torch import Tensor

from fairexit.config import RunConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, short
from fairexit.files import folder_lock
from fairexit.methods import Distilled
from fairexit.models import ExitNet
from fairexit.runs import Run, open_run
from fairexit.terminal import note
from fairexit.training.extend import extend
from fairexit.training.inputs import open_training
from fairexit.training.setup import build, finetune_config, resolve, teach
from fairexit.training.trainer import Trainer, seed_epoch
from fairexit.types import Task


def train(config: RunConfig, out: Path) -> Run:
    """Train a run. Resumes automatically if interrupted.

    If the folder holds the same run with fewer epochs, it is extended, see `extend`.

    All random numbers of an epoch depend only on the seed and the epoch's number. So a resumed run
    ends with the same weights as an uninterrupted one, bit for bit on a CPU.

    Args:
        config: the settings.
        out: the run's folder.
    Returns:
        The finished run.
    Raises:
        UserError: the settings do not fit the data or the machine, or the loss diverges.
    """
    if config.prune is not None:
        raise UserError(
            "the configuration has a section prune, but training alone does not prune; leave it "
            "out, or call fairexit.train"
        )
    data = open_training(config)
    config = resolve(config)
    task = data.task(config.data.group)
    fabric = _fabric(config)
    with folder_lock(out) if fabric.is_global_zero else nullcontext():
        return _train(config, data, task, Run(out), fabric=fabric)


def _train(config: RunConfig, data: Prepared, task: Task, run: Run, *, fabric: Fabric) -> Run:
    """Train a run whose folder is locked, after its teacher if the method needs one."""
    seed_epoch(config.seed, 0)
    method = build(config, task, data.size)
    if isinstance(method, Distilled):
        if method.teacher_run:
            teach(method, open_run(method.teacher_run))
        elif fabric.world_size > 1:
            raise UserError(
                f"method '{config.method['name']}' needs a teacher, and on several devices it must "
                "be trained before; give its run as method.teacher"
            )
    if fabric.is_global_zero:
        checksums = data.info["checksums"]
        images = len(data.rows("train", config.data.fold))
        extend(run, config, checksums, -(-images // config.train.images_per_step))
        run.start(config, checksums)
    fabric.barrier()
    if run.finished:
        return run
    if isinstance(method, Distilled) and not method.teacher_run:
        teacher = run.path / "teacher"
        note(f"{run.path}: the method needs a teacher, in {teacher}")
        teach(method, train(replace(config, method={"name": "erm"}), teacher))
    trainer = Trainer(config, data, task, run, fabric=fabric, method=method)
    trainer.fit()
    trainer.finish(config)
    return run


def finetune(
    run: Run, config: RunConfig, net: ExitNet, masks: dict[str, Tensor], *, teacher: Path
) -> None:
    """Fine-tune a pruned network while its zeros stay zero. Resumes if interrupted.

    Args:
        run: the pruned run, whose folder has been started.
        config: its settings, with those of the pruning.
        net: the pruned network.
        masks: parameter name -> True where a parameter is kept, of the parameter's shape.
        teacher: folder of the unpruned run's teacher, for a method that has one.
    Raises:
        UserError: as for `train`.
    """
    settings = finetune_config(config)
    data = open_training(settings)
    task = data.task(settings.data.group)
    fabric = _fabric(settings)
    seed_epoch(settings.seed, 0)
    method = build(settings, task, data.size)
    method.net.load_state_dict(net.state_dict())
    if isinstance(method, Distilled):
        teach(method, open_run(method.teacher_run or teacher))
    trainer = Trainer(settings, data, task, run, fabric=fabric, method=method, masks=masks)
    trainer.fit()
    trainer.finish(config)


def _fabric(config: RunConfig) -> Fabric:
    """The devices, processes and precision of a run, started.

    Raises:
        UserError: the machine does not have them, or they do not divide a batch.
    """
    settings = config.train
    if settings.batch_size % settings.devices:
        raise UserError(
            f"train.batch_size is {settings.batch_size}; it must be a multiple of train.devices, "
            f"{settings.devices}"
        )
    try:
        fabric = Fabric(
            accelerator=settings.device, devices=settings.devices, precision=settings.precision
        )
        fabric.launch()
    except Exception as error:
        raise UserError(
            f"train.device is '{short(settings.device)}' and train.devices is {settings.devices}: "
            f"{short(error, 300)}"
        ) from None
    return fabric
