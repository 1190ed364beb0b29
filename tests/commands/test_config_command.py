"""`fairexit config`: every setting, explained from one source."""

import dataclasses
import json
from pathlib import Path

import pytest

from conftest import settings as run_settings
from fairexit.config import RunConfig
from fairexit.config_prune import PruneConfig
from fairexit.config_settings import SECTIONS, setting_type, settings
from fairexit.config_train import EarlyStopping
from fairexit.docstrings import explanations
from fairexit.errors import UserError
from fairexit.methods import methods

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_of_the_docs_is_what_the_command_prints(command):
    status, printed, _ = command("config", "--markdown")
    assert status == 0
    assert PAGE.read_text(encoding="utf-8") == printed, (
        "write it anew: fairexit config --markdown > docs/configuration.md"
    )


def test_every_setting_of_a_configuration_is_there():
    tree = run_settings("d", prune={"ratio": 0.2}).to_dict()
    names = {"method.name"} | {
        f"train.early_stopping.{field.name}" for field in dataclasses.fields(EarlyStopping)
    }
    for key, value in tree.items():
        if key != "method":
            names |= {f"{key}.{name}" for name in value} if key in SECTIONS else {key}
    assert {s.key for s in settings() if not s.method} == names


@pytest.mark.parametrize("kind", [RunConfig, EarlyStopping, *SECTIONS.values()])
def test_the_docstring_of_a_section_explains_its_fields_and_no_others(kind):
    assert set(explanations(kind)) == {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("name", methods.names())
def test_the_options_of_every_method_are_explained(name):
    shown = {s.key.removeprefix("method."): s for s in settings("method") if s.method == name}
    assert set(shown) == set(methods.options(name))
    assert all(s.explanation for s in shown.values()), "say under Args what the option does"


def test_the_defaults_as_data_are_those_of_a_run(command):
    _, printed, _ = command("config", "prune", "--json")
    listed = json.loads(printed)
    values = {s["key"].removeprefix("prune."): s["default"] for s in listed}
    assert PruneConfig(**values) == PruneConfig()
    (method,) = (s for s in listed if s["key"] == "prune.method")
    assert method["allowed"] == ["fairprune", "magnitude", "random", "scp", "fairquantize", "swift"]
    assert not method["required"]
    _, printed, _ = command("config", "data.path", "--json")
    (path,) = json.loads(printed)
    assert path["required"]
    assert path["type"] == "path"


def test_a_part_of_the_settings(command):
    assert "train.lr" in command("config", "train")[1]
    assert "data.path" not in command("config", "train")[1]
    status, _, error = command("config", "tran")
    assert (status, error) == (2, "fairexit: there is no setting 'tran'; did you mean 'train'?\n")
    status, _, error = command("config", "--json", "--markdown")
    assert status == 2
    assert "choose one" in error


def test_the_type_of_a_setting():
    assert setting_type({}, "seed") is int
    assert setting_type({}, "data.fold") == int | None
    with pytest.raises(UserError, match="method 'erm' has no option 'weight'; it has none"):
        setting_type({}, "method.weight")


def test_explanations_of_base_classes_count_too():
    class Base:
        """Base.

        Args:
            x: the first.
            y, z: the others,
                in pixels.
        """

    class Derived(Base):
        """Derived.

        Args:
            x: the first,
                again.

        Attributes:
            w: an attribute.
        Returns:
            v: not an argument.
        """

    others = "the others, in pixels."
    assert explanations(Derived) == {
        "x": "the first, again.", "y": others, "z": others, "w": "an attribute.",
    }  # fmt: skip
