"""A software bill of materials of the installed packages, in the JSON form of CycloneDX 1.6."""

import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from typing import Any
from urllib.parse import quote

from fairexit.version import __version__

SPEC = "1.6"
MAX_NAME = 100
"""Some packages put the whole text of their licence where its name belongs."""


def bill_of_materials(
    name: str, weights: str, packages: Iterable[Distribution] | None = None
) -> dict[str, Any]:
    """The bill of a model and the Python packages beside it.

    Args:
        name: name of the model.
        weights: SHA-256 of its weights.
        packages: the installed packages; by default those of this environment.
    Returns:
        The document, whose components are sorted by name and listed once.
    """
    components = list(_components(distributions() if packages is None else packages))
    model = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{weights}",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": weights}],
    }
    tool = {"type": "application", "name": "fairexit", "version": __version__}
    # The same model and packages have the same serial number.
    identity = " ".join([weights, *(component["bom-ref"] for component in components)])
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, identity).urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "tools": {"components": [tool]},
            "component": model,
        },
        "components": components,
    }


def _components(packages: Iterable[Distribution]) -> Iterator[dict[str, Any]]:
    named: dict[str, Distribution] = {}
    for package in packages:
        # An unfinished installation leaves a package without metadata.
        name = _stated(package, "Name")
        if name:
            # Of two copies of a package, Python imports the first.
            named.setdefault(re.sub(r"[-_.]+", "-", name).lower(), package)
    for name, package in sorted(named.items()):
        address = f"pkg:pypi/{name}@{quote(package.version)}"
        licences = _licences(package)
        yield {
            "type": "library",
            "bom-ref": address,
            "name": package.metadata["Name"],
            "version": package.version,
            "purl": address,
            **({"licenses": licences} if licences else {}),
        }


def _licences(package: Distribution) -> list[dict[str, Any]]:
    """The licences that a package states: an SPDX expression, else classifiers, else a name."""
    expression = _stated(package, "License-Expression")
    if expression:
        return [{"expression": expression}]
    classifiers = package.metadata.get_all("Classifier") or []
    names = [
        text.rpartition(" :: ")[2]
        for text in classifiers
        # "License :: OSI Approved" alone names no licence.
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    plain = _stated(package, "License").strip()
    if not names and plain and "\n" not in plain and len(plain) <= MAX_NAME:
        names = [plain]
    return [{"license": {"name": name}} for name in names]


def _stated(package: Distribution, field: str) -> str:
    """A field of a package's metadata, "" if it is absent."""
    metadata = package.metadata
    return metadata[field] if metadata and field in metadata else ""
