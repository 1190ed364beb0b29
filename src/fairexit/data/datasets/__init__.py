"""Every dataset by name; a new one is one new file in this package, or a plugin."""

from fairexit.data.records import Dataset
from fairexit.registry import Registry

datasets: Registry[Dataset] = Registry("dataset", __name__, Dataset)
