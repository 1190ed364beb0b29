"""A test that is skipped must be on a list, or the session fails: no test falls asleep unseen."""

import re
from pathlib import Path

ALLOWED = Path(__file__).with_name("allowed_skips.txt")
COLUMN = re.compile(r"\s{2,}")


def read_allowed(file):
    """Pairs of patterns, of the test's id and of the reason, in which * stands for any text."""
    lines = [line.strip() for line in file.read_text().splitlines()]
    pairs = []
    for line in lines:
        if line and not line.startswith("#"):
            parts = COLUMN.split(line)
            if len(parts) != 2:
                raise ValueError(f"{file}: write a test id, two spaces and the reason: {line}")
            pairs.append(tuple(re.escape(part).replace(r"\*", ".*") for part in parts))
    return pairs


def unlisted(reports, allowed):
    """A line for each skipped test that no pair of the list allows."""
    lines = []
    for report in reports:
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(re.fullmatch(i, report.nodeid) and re.fullmatch(r, reason) for i, r in allowed):
            lines.append(f"{report.nodeid}  {reason}")
    return lines


def _skipped(config):
    # The processes of xdist have no terminal; the session that started them gets their reports.
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    return unlisted(terminal.stats.get("skipped", []), read_allowed(ALLOWED)) if terminal else []


def pytest_sessionfinish(session):
    """Fail the session after an unlisted skip."""
    if session.exitstatus == 0 and _skipped(session.config):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    """Name the unlisted skips."""
    if lines := _skipped(config):
        terminalreporter.section(f"skipped, but not listed in {ALLOWED.name}", red=True)
        for line in lines:
            terminalreporter.line(line)
