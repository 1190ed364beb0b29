"""The connection to a running Ray cluster: quiet, checked, and closed at the end."""

import os
import re
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from fairexit.errors import UserError, option, reason, short
from fairexit.executors.ray_cluster import RayCluster
from fairexit.extras import require
from fairexit.files import write_atomically
from fairexit.leftovers import partial_path, remove_leftovers

ADDRESS = re.compile(r"(\[.+\]|[^:/\[\]]+):(\d{1,5})")


@contextmanager
def connect(
    address: str,
    folder: Path,
    *,
    threads: int | None = None,
    gpus: float | None = None,
    paths: Sequence[Path] = (),
) -> Iterator[RayCluster]:
    """An executor on a running Ray cluster; the connection ends with the context.

    Args:
        address: `auto` for the cluster of this machine (or of `RAY_ADDRESS`), or HOST:PORT.
        folder: the folder to which tasks write; all nodes must see it.
        threads: CPU threads of each task, by default 1.
        gpus: GPUs of each task, or a share of one; by default 1.
        paths: what tasks read; all nodes must see it.
    Raises:
        UserError: there is no such cluster, it has other versions, no node has these resources, or
            a node does not see a folder.
    """
    require("ray", "a Ray cluster")
    threads, gpus = threads or 1, 1.0 if gpus is None else float(gpus)
    if not (0 < gpus < 1 or (gpus >= 1 and gpus.is_integer())):
        raise UserError(
            f"{option('gpus')} is {gpus:g}; give a share of one GPU such as 0.5, or a whole number"
        )
    _check_address(address)
    ray = _silent_ray()
    is_connected = ray.is_initialized()
    if not is_connected:
        _init(ray, address)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder / "cluster")
    marker = partial_path(folder / "cluster")
    try:
        write_atomically(marker, secrets.token_hex())
        cluster = RayCluster(ray, threads, gpus, marker)
        cluster.check([Path.cwd(), *paths])
        yield cluster
    finally:
        marker.unlink(missing_ok=True)
        if not is_connected:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Raise a UserError for an address of another form, or at which nothing answers."""
    if address == "auto":
        return
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(
            f"{option('ray')} is '{short(address)}'; give auto, or the address HOST:PORT of the "
            "head of a cluster"
        )
    try:
        # Ray itself would try for a minute, and print what it tries.
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"{option('ray')} is '{address}', but no Ray cluster answers there: {reason(error)}"
        ) from None


def _silent_ray() -> ModuleType:
    """The module, without reports of use, and without Ray's messages among those of the command."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    # Messages of lost nodes would reach standard output. Ray's debugger has the same switch.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _init(ray: ModuleType, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except ConnectionError:
        raise UserError(
            f"{option('ray')} is '{address}', but no Ray cluster is running here; start one as "
            "docs/machines.md says, or give the address HOST:PORT of another"
        ) from None
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{option('ray')} is '{address}', but the cluster cannot be joined: {reason(error)}"
        ) from None
