"""The devices and processes of a training: how they start, and how they end together."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from fairexit.config import RunConfig
from fairexit.errors import UserError, short
from fairexit.terminal import note

GRACE = 5.0
"""Seconds within which a process should see that another one has ended, or is stopped itself."""

STATUS = 2
"""Exit status of a process that ends because another one has ended."""


class LostProcessError(UserError):
    """Training stopped because another process of it ended; it resumes when it is started again."""


_parent = os.getppid() if LightningEnvironment().creates_processes_externally else None
_children: list[subprocess.Popen[bytes]] = []


def launch(config: RunConfig) -> Fabric:
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
    precision = settings.precision
    assert precision != "auto", "it is measured before"
    nodes = _nodes(settings.devices)
    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a banner of the processes
    try:
        fabric = Fabric(
            accelerator=settings.device,
            devices=settings.devices // nodes,
            num_nodes=nodes,
            precision=precision,
        )
        fabric.launch()
    except Exception as error:
        raise UserError(
            f"train.device is '{short(settings.device)}' and train.devices is {settings.devices}: "
            f"{short(error, 300)}"
        ) from None
    started = getattr(fabric.strategy.launcher, "procs", [])
    _children.extend(started)
    # Fabric would kill this process, without a word, some time after one of them has ended.
    started.clear()
    return fabric


def check_processes(devices: int) -> None:
    """Raise a UserError if torchrun has started another number of processes than a run needs."""
    if TorchElasticEnvironment.detect() and (world := int(os.environ["WORLD_SIZE"])) != devices:
        raise UserError(
            f"train.devices is {devices}, but torchrun has started {world} "
            f"process{'' if world == 1 else 'es'}; give both the same number"
        )


def _nodes(devices: int) -> int:
    """Number of machines that torchrun has started."""
    if devices == 1 or not TorchElasticEnvironment.detect():
        return 1
    return devices // int(os.environ["LOCAL_WORLD_SIZE"])


@contextmanager
def end_together(fabric: Fabric) -> Iterator[None]:
    """End this process soon, and with one line, if another process of the training ends.

    A process that fails ends the others of its machine.

    Args:
        fabric: the processes.
    Raises:
        LostProcessError: another process has ended.
    """
    if fabric.world_size == 1:
        yield
        return
    rank, done = fabric.global_rank, threading.Event()
    threading.Thread(target=_watch, args=(rank, done), daemon=True).start()
    handler = None
    if TorchElasticEnvironment.detect() and _in_main_thread():
        # How torchrun stops the others when a process has ended.
        handler = signal.signal(signal.SIGTERM, lambda *_: _give_up(rank, "another process ended"))
    try:
        yield
    except LostProcessError:
        raise
    except BaseException as error:
        # Torch's errors of communication are of this type; those of the user are not.
        if isinstance(error, RuntimeError) and (reason := _wait_for_loss()):
            _give_up(rank, reason)
        _stop_children()
        if rank > 0:
            _wait_for_the_end()
        raise
    finally:
        done.set()
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _loss() -> str | None:
    """What has become of another process of this machine; None while all are well."""
    if _parent is not None and os.getppid() != _parent:
        return "the process that started it ended"
    for number, child in enumerate(_children, start=1):
        if status := child.poll():
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            return f"process {number + 1} of {len(_children) + 1} {how}"
    return None


def _wait_for_loss() -> str | None:
    """As `_loss`, which can come a moment later than the error of the communication."""
    end = time.monotonic() + GRACE
    while (reason := _loss()) is None and time.monotonic() < end:
        time.sleep(0.05)
    return reason


def _message(reason: str) -> str:
    return f"the training stopped because {reason}; run the same command again to resume"


def _give_up(rank: int, reason: str) -> NoReturn:
    """End because another process has ended; the first two say so, of which one still runs."""
    _stop_children()
    if rank > 1:
        raise SystemExit(STATUS)
    raise LostProcessError(_message(reason))


def _stop_children() -> None:
    """Stop the processes that this one has started."""
    for child in _children:
        child.kill()
        child.wait()
    _children.clear()


def _wait_for_the_end() -> None:
    """Let the first process, which fails too, say why and stop this one."""
    if _in_main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(GRACE)


def _watch(rank: int, done: threading.Event) -> None:
    """End this process if another one ends while the main thread waits for it, perhaps for ever.

    Args:
        rank: number of this process.
        done: set when the training is done.
    """
    while (reason := _loss()) is None:
        if done.wait(0.5):
            return
    if not done.wait(2 * GRACE):
        if rank <= 1:
            note(f"fairexit: {_message(reason)}")
        _stop_children()
        os._exit(STATUS)
