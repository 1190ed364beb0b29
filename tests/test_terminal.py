"""Text from outside on a terminal: neither markup nor control codes take effect."""

import os
import pty
import subprocess
import sys

import pytest

from fairexit import cli
from fairexit.errors import UserError
from fairexit.tables import Table
from fairexit.terminal import printable, say

ATTACK = "[a]/x[/b]\x1b[31m\x07\r\x9b2J\u202egnp\u2066\udce9"
HARMFUL = "\x1b\x07\r\x9b\u202e\u2066\udce9"


def on_a_terminal(*words, cwd=None):
    """Run Python with all streams on a pseudo-terminal; returns exit status and output."""
    main, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *words],
        stdin=end,
        stdout=end,
        stderr=end,
        cwd=cwd,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"},
    )
    os.close(end)
    output = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:  # the end of a pseudo-terminal
            break
        if not part:
            break
        output += part
    os.close(main)
    return process.wait(60), output.decode()


@pytest.mark.parametrize("char", HARMFUL + "\x00\x7f\u2028\u200e\ufeff")
def test_a_harmful_character_is_replaced(char):
    assert printable(f"a{char}b") == "a\ufffdb"


@pytest.mark.parametrize("text", ["naïve", "皮膚 癌", "می‌خواهم", "👩‍⚕️", "a b", "a\u3000b", "[b]"])
def test_ordinary_text_is_kept(text):
    assert printable(text) == text


def test_a_message_is_one_line_without_control_characters():
    message = str(UserError(f"there is no file {ATTACK}\nhere"))
    assert not set(HARMFUL) & set(message)
    assert message.startswith("there is no file [a]/x[/b]\ufffd[31m")
    assert message.endswith(" here")


def test_lines_keep_only_their_newlines(capsys):
    say(f"one\n{ATTACK}")
    out = capsys.readouterr().out
    assert out.startswith("one\n[a]/x[/b]\ufffd")
    assert not set(HARMFUL) & set(out)


BAR = """
from fairexit.progress import Bar, track
text = {text!r}
assert list(track([1, 2], text, 2)) == [1, 2]
with Bar(text, 2) as bar:
    assert bar.is_terminal
    bar.advance(text)
    bar.line(text)
"""


def test_a_progress_bar_shows_brackets_as_they_are():
    status, shown = on_a_terminal("-c", BAR.format(text="a [a]/x[/b] b\x07\u202e"))
    assert status == 0, shown
    assert "a [a]/x[/b] b" in shown
    assert not {"\x07", "\u202e"} & set(shown)


def test_a_table_shows_brackets_as_they_are():
    code = (
        "from fairexit.tables import Table; from fairexit.commands.common import show\n"
        "show(Table('[/t]', ['[/c]'], [['[/x]\\x07']]))"
    )
    status, shown = on_a_terminal("-c", code)
    assert status == 0, shown
    assert all(text in shown for text in ("[/t]", "[/c]", "[/x]"))
    assert "\x07" not in shown
    assert "\x07" not in Table("", ["a"], [["\x07"]]).to_markdown()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["audit", "none[/b]\x07\u202e.csv"], "there is no file or folder none[/b]"),
        (["audit", "t[/b].csv", "--group", "s[/x]\x07"], "t[/b].csv: there is no column of an"),
        (["evaluate", "t[/b].csv", "--rule", "[/x]\x07"], "rule"),
        (["list", "[/x]\x07"], "there is no list '[/x]"),
        (["predict", "run", "--split", "[/x]\x07"], "is not one of 'train', 'val', 'test'"),
        (["[/x]\x07"], "No such command"),
    ],
)
def test_error_lines_of_commands_are_literal(words, expected, tmp_path):
    (tmp_path / "t[").mkdir()
    (tmp_path / "t[/b].csv").write_text("label,sex,prediction\na,f,a\nb,f,a\na,m,a\nb,m,b\n")
    status, shown = on_a_terminal("-m", "fairexit", *words, cwd=tmp_path)
    assert status == 2, shown
    assert expected in shown
    assert "Traceback" not in shown
    assert not {"\x07", "\u202e"} & set(shown)


def test_written_lines_and_tables_of_a_command_are_literal(tmp_path):
    file = tmp_path / "t[/b].csv"
    file.parent.mkdir()
    rows = "".join(f"{a},[/f],{p}\n{p},m\x07,{a}\n" for a, p in [("a", "[/b]"), ("a", "a")] * 9)
    file.write_text(f"label,s[/x],prediction\n{rows}")
    words = [
        "audit",
        "t[/b].csv",
        "--group",
        "s[/x]",
        "--out",
        "r[/b].html",
        "--permutations",
        "100",
    ]
    status, shown = on_a_terminal("-m", "fairexit", *words, cwd=tmp_path)
    assert status == 0, shown
    assert "written: r[/b].html" in shown
    assert "\x07" not in shown


def test_a_name_that_the_output_cannot_encode_does_not_stop(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "fairexit", "list", "Ж"],
        env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    assert r"there is no list '\u0416'" in result.stderr


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("odd"), "fairexit: a file: odd"),
        (MemoryError("9 GB"), "fairexit: the memory of this machine does not suffice: 9 GB"),
    ],
)
def test_faults_of_the_machine_are_one_line(error, expected, monkeypatch, capsys):
    def fail(standalone_mode):
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"{expected}\n"
