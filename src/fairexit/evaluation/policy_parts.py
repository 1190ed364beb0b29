"""Check the parts of a policy that are read from its file."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fairexit.errors import UserError


def check_fields(values: Any, kind: type, part: str) -> None:
    """Raise a UserError unless the values of a policy's part have exactly the fields of a class.

    Args:
        values: as they were read.
        kind: the dataclass.
        part: what the part is called.
    """
    names = [field.name for field in fields(kind)]
    if not isinstance(values, Mapping) or set(values) != set(names):
        raise UserError(f"the {part} of a policy lack a key or have others than {', '.join(names)}")
