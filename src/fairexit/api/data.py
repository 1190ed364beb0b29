"""The functions that make data: prepare and plant."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairexit.api.common import Plugins
from fairexit.plugins import load_plugins

if TYPE_CHECKING:
    from fairexit.data.prepared import Prepared


def prepare(
    dataset: str,
    source: str | Path | None = None,
    *,
    out: str | Path,
    options: Mapping[str, Any] | None = None,
    plugins: Plugins = (),
    **how: Any,
) -> "Prepared":
    """Turn a download into a prepared dataset: decode the images, split them, check for leaks.

        fairexit.prepare("isic2019", "downloads/isic2019", out="data/isic2019-64", size=64)

    Args:
        dataset: `isic2019`, `fitzpatrick17k`, `table`, `synthetic`, or the name of a plugin's.
        source: the download: a folder, or the file of a table.
        out: the folder to make.
        options: options of the dataset, such as `{"label": "dx", "group": ["sex"]}` for a table.
        how: `size`, `fit`, `split_file`, `folds`, `split`, `seed`, `unknown`, `classes`,
            `merge_near_duplicates`, `workers`; see `fairexit.data.prepare.PrepareOptions`. By
            default images are decoded in this process. With `workers` above 1 each worker imports
            the calling script, which must guard its main part by `if __name__ == "__main__":`.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: bad input; no files are left behind.
    """
    load_plugins(plugins)
    from fairexit.config_files import build_section
    from fairexit.data import prepare as preparation
    from fairexit.data.datasets import datasets

    checked = build_section("", preparation.PrepareOptions, {"workers": 1, **how})
    built = datasets.create(dataset, **dict(options or {}))
    path = None if source is None else Path(source)
    return preparation.prepare(dataset, built, path, Path(out), options=checked)


def plant(data: "str | Path | Prepared", out: str | Path, **options: Any) -> "Prepared":
    """Plant a known cause of unfairness into a copy of a prepared dataset.

        fairexit.plant("data/isic2019-32", "data/prevalence", cause="prevalence", strength=0.95)

    Args:
        data: a prepared dataset or its folder; it is not changed.
        out: the folder to make.
        options: `cause`, `strength`, `mark`, `name`, `group`, `affected`, `classes`, `relabel`,
            `independent_images`, `seed`; see `fairexit.data.causes.PlantOptions`.
    Returns:
        The planted dataset, whose main attribute is the planted group.
    Raises:
        UserError: bad input; no files are left behind.
    """
    from fairexit.config_files import build_section
    from fairexit.data import plant as planting
    from fairexit.data.causes import PlantOptions
    from fairexit.data.prepared import Prepared, open_prepared

    checked = build_section("", PlantOptions, options)
    path = data.path if isinstance(data, Prepared) else Path(data)
    return planting.plant(open_prepared(path, whole=True), Path(out), checked)
