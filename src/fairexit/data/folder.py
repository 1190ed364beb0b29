"""The folder of a prepared dataset as it is written: completely or not at all."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fairexit.csv_files import write_csv
from fairexit.data.verify import IMAGES, RECORDS, sha256, sha256_of_rows, write_stamp
from fairexit.errors import UserError, option
from fairexit.files import folder_lock, json_text

SKIPPED = "skipped.csv"


def check_new(out: Path) -> None:
    """Raise a UserError if the folder to make exists already."""
    if out.exists():
        raise UserError(f"{out} already exists; remove it or choose another {option('out')}")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out`, which is renamed to `out` if the context ends without an error.

    Raises:
        UserError: the folder cannot be written, or another process is writing it.
    """
    # A killed process may have left it; the dot and the ending show that it is not the user's.
    partial_folder = out.absolute().with_name(f".{out.absolute().name}.partial")
    with folder_lock(out):
        shutil.rmtree(partial_folder, ignore_errors=True)
        try:
            partial_folder.mkdir(parents=True)
            yield partial_folder
            partial_folder.rename(out)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise UserError(f"the disk of {out} is full; nothing was written") from None
            raise UserError(f"{out} cannot be written: {error.strerror or error}") from None
        finally:
            shutil.rmtree(partial_folder, ignore_errors=True)


def write_skipped(folder: Path, table: pd.DataFrame) -> None:
    """Write the list of skipped samples, a table of `id` and `reason`."""
    write_csv(folder / SKIPPED, table.sort_values(["reason", "id"]))


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write `dataset.json` with the checksums of the images and records that are there."""
    checksums = {
        IMAGES: sha256(folder / IMAGES),
        RECORDS: sha256_of_rows(pd.read_parquet(folder / RECORDS)),
    }
    content = json_text({**description, "checksums": checksums})
    (folder / "dataset.json").write_text(content + "\n")
    write_stamp(folder, checksums[IMAGES])
