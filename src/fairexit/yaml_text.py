"""YAML of users: plain values, keys as they are written, and bounds on what aliases become."""

import re
from typing import Any

import yaml

from fairexit.errors import UserError, short

MAX_BYTES = 4_000_000
MAX_VALUES = 200_000
MAX_DEPTH = 50

_FLOAT = re.compile(
    r"""^(?:[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?
    |[-+]?\d[\d_]*[eE][-+]?\d+
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_INT = re.compile(r"^(?:[-+]?(?:0|[1-9][\d_]*)|0x[\da-fA-F_]+)$")
_REPLACED = {"tag:yaml.org,2002:float", "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp"}


class _Loader(yaml.SafeLoader):
    """A safe loader in which 1e3 is a number, and 2020-01-01, 1:30 and 010 are texts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        line = node.start_mark.line + 1
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"a key of the section at line {line} is not a text; write a name")
            if key.value in seen and not _is_merge(key):
                raise UserError(
                    f"two entries of the section at line {line} are called "
                    f"'{short(key.value)}'; rename one"
                )
            seen.add(key.value)
        self.flatten_mapping(node)
        return {
            key.value: self.construct_object(value, deep=True)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode)
        }


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; keys of sections are the texts that stand there.

    Raises:
        UserError: the text is not YAML, has tags of objects or two entries of one name, or is too
            large, also by aliases that repeat each other.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"the text has {len(text):,} characters; at most {MAX_BYTES:,} are read")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except UserError:
        raise
    except RecursionError:
        raise UserError(f"it is nested in more than {MAX_DEPTH} levels") from None
    except yaml.YAMLError as error:
        raise UserError(f"it is not valid YAML: {short(error, 300)}") from None
    # A tag such as !!int before another text raises errors of many types.
    except Exception as error:
        raise UserError(f"it is not valid YAML: {short(error)}") from None


def _is_merge(key: yaml.ScalarNode) -> bool:
    return bool(key.tag == "tag:yaml.org,2002:merge")


def _check_size(node: yaml.Node) -> None:
    """Raise a UserError if a text, with its aliases expanded, is too large or too deep."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise UserError(f"it is nested in more than {MAX_DEPTH} levels")
        if id(node) in open_nodes:
            raise UserError(f"the alias at line {node.start_mark.line + 1} contains itself")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            children = node.value if isinstance(node, yaml.CollectionNode) else []
            if isinstance(node, yaml.MappingNode):
                children = [child for pair in children for child in pair]
            sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in children)
            open_nodes.discard(id(node))
        return sizes[id(node)]

    if size(node, 0) > MAX_VALUES:
        raise UserError(f"its aliases stand for more than {MAX_VALUES:,} values")
