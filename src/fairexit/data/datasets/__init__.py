"""All datasets by name. A new dataset is a new file in this package, or a plugin."""

from fairexit.data.records import Dataset
from fairexit.registry import Registry

datasets: Registry[Dataset] = Registry("dataset", __name__, Dataset)
