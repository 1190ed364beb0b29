"""Oddities of YAML: each is one line, or the plain value that the text shows."""

import pytest

from fairexit.errors import UserError
from fairexit.files import read_json, read_yaml
from fairexit.yaml_text import parse_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n"
    for last, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "two entries of the section at line 1 are called 'a'; rename one"),
        ("x: 1\ns:\n  a: 1\n  'a': 2", "section at line 3 are called 'a'"),
        ("? [1, 2]\n: 3", "a key of the section at line 1 is not a text"),
        ("? {a: 1}\n: 3", "a key of the section at line 1 is not a text"),
        ("a:\t- b\n\tc: 1", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML: could not determine"),
        ("a: !!int x", "not valid YAML"),
        ("a: !!float [1]", "not valid YAML"),
        ("a: !!timestamp x", "not valid YAML"),
        ("a: *b", "not valid YAML: found undefined alias"),
        ("a: &a [*a]", "the alias at line 1 contains itself"),
        ("a: &a {b: *a}", "the alias at line 1 contains itself"),
        (BOMB, "its aliases stand for more than 200,000 values"),
        ("[" * 60 + "]" * 60, "nested in more than 50 levels"),
        ("[" * 30_000, "nested in more than 50 levels"),
        ("a: 1\n---\na: 2", "not valid YAML: expected a single document"),
        ("a: \x00", "not valid YAML"),
        ("a: 1" + " " * 4_000_000, "the text has 4,000,004 characters"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("12", 12),
        ("0x1F", 31),
        (".inf", float("inf")),
        ("true", True),
        (
            "{1: a, on: b, 2020-01-01: c, null: d}",
            {"1": "a", "on": "b", "2020-01-01": "c", "null": "d"},
        ),
        ("b: &b {x: 1, y: 2}\nc: {<<: *b, x: 3}", {"b": {"x": 1, "y": 2}, "c": {"x": 3, "y": 2}}),
        ("", None),
    ],
)
def test_what_a_text_means(text, value):
    assert parse_yaml(text) == value
    assert type(parse_yaml(text)) is type(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1".encode("utf-16"), "is not text in UTF-8; save it in that encoding"),
        (b"a: caf\xe9", "is not text in UTF-8"),
        (b"", "must hold keys and values"),
        (b"- a", "must hold keys and values"),
        (b"null", "must hold keys and values"),
    ],
)
def test_files_that_are_refused(content, message, tmp_path):
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(UserError, match=rf"c\.yaml:? .*{message}|c\.yaml {message}"):
        read_yaml(tmp_path / "c.yaml")


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(tmp_path / "c.yaml") == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"[1]", b"null", b"\xff\xfe{", b'{"a":'])
def test_json_that_is_damaged(content, tmp_path):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(UserError, match=r"c\.json is damaged; train again"):
        read_json(tmp_path / "c.json", "train again")
