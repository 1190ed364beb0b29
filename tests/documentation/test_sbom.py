"""The software bill of materials: the fields that CycloneDX requires, and licences as stated."""

import re
from importlib.metadata import distributions, version

import pytest

from fairexit.documentation.sbom import bill_of_materials

WEIGHTS = "ab" * 32
PURL = re.compile(r"pkg:pypi/[a-z0-9]+(-[a-z0-9]+)*@[A-Za-z0-9.!%_-]+")
# From the schema of CycloneDX 1.6.
SERIAL = re.compile(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


@pytest.fixture
def installed(tmp_path):
    """Make a folder of installed packages from the text of their metadata."""

    def make(**packages):
        for name, text in packages.items():
            folder = tmp_path / f"{name}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.4\n{text}")
        return list(distributions(path=[str(tmp_path)]))

    return make


def test_this_environment_has_the_required_fields():
    bill = bill_of_materials("me", WEIGHTS)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert SERIAL.fullmatch(bill["serialNumber"])
    assert TIME.fullmatch(bill["metadata"]["timestamp"])
    model = bill["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "me")
    assert model["hashes"] == [{"alg": "SHA-256", "content": WEIGHTS}]
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(references) == len(set(references))
    by_name = {component["name"]: component for component in bill["components"]}
    for name in ("numpy", "pandas", "torch"):
        assert by_name[name]["version"] == version(name)
    for component in bill["components"]:
        assert component["type"] == "library"
        assert component["name"]
        assert component["version"]
        assert PURL.fullmatch(component["purl"]), component["purl"]
        for choice in component.get("licenses", []):
            kind = set(choice)
            assert kind in ({"license"}, {"expression"})
            # An expression stands alone.
            assert kind == {"license"} or len(component["licenses"]) == 1


def test_licences_are_those_that_a_package_states(installed):
    text = "Permission is hereby granted\nto any person"
    packages = installed(
        one="Name: One\nVersion: 1.0\nLicense-Expression: MIT OR Apache-2.0\nLicense: other\n",
        two="Name: two\nVersion: 1.0\nLicense: BSD\n"
        "Classifier: License :: OSI Approved\n"
        "Classifier: License :: OSI Approved :: MIT License\n",
        three="Name: three\nVersion: 1.0\nLicense: Apache 2.0\n",
        four=f"Name: four\nVersion: 1.0\nLicense: {text.replace(chr(10), chr(10) + ' ')}\n",
        five="Name: five\nVersion: 1.0\n",
    )
    bill = bill_of_materials("me", WEIGHTS, packages)
    assert {c["name"]: c.get("licenses") for c in bill["components"]} == {
        "five": None,
        "four": None,
        "One": [{"expression": "MIT OR Apache-2.0"}],
        "three": [{"license": {"name": "Apache 2.0"}}],
        "two": [{"license": {"name": "MIT License"}}],
    }


def test_names_are_normalised_and_versions_are_escaped(installed):
    packages = installed(
        a="Name: My_Odd..Package\nVersion: 1.0+cpu\n",
        broken="Summary: an unfinished installation\n",
    )
    bill = bill_of_materials("me", WEIGHTS, [*packages, *packages])
    (component,) = bill["components"]
    assert component["name"] == "My_Odd..Package"
    assert component["purl"] == "pkg:pypi/my-odd-package@1.0%2Bcpu"


def test_the_serial_number_is_that_of_the_model_and_the_packages(installed):
    packages = installed(a="Name: a\nVersion: 1.0\n")
    first, again = (bill_of_materials("me", WEIGHTS, packages) for _ in range(2))
    other = bill_of_materials("me", "cd" * 32, packages)
    fewer = bill_of_materials("me", WEIGHTS, [])
    assert first["serialNumber"] == again["serialNumber"]
    assert len({b["serialNumber"] for b in (first, other, fewer)}) == 3
