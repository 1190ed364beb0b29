"""From anybody's images to the prepared form: records, datasets, splits, loaders, augmentation."""

from typing import TYPE_CHECKING

from fairexit.registry import Registry

if TYPE_CHECKING:
    from fairexit.data.records import Dataset

datasets: "Registry[Dataset]" = Registry("dataset", "fairexit.data.datasets")
"""Every dataset by name; a new one is one new file in `fairexit/data/datasets/`."""
