"""The page as a text: what stands on it, in which order, and what names can do to it."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_audit import NAN, around, made_audit

from fairexit.auditing.gap_results import Estimate
from fairexit.evaluation.entanglement import Entanglement
from fairexit.report import audit_figures as figures
from fairexit.report.audit_page import Footnotes, link, render_audit, write_audit
from fairexit.report.cell_labels import label_cells
from fairexit.report.cohort_text import cohort_tables
from fairexit.report.slider import slider_data

BAD = '</script><script>alert("x")</script><b>&amp; "MEL\''
VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """Tags, headings, captions, ids and texts; fails where tags are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.headings, self.texts = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append([int(tag[1]), ""])

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings[-1][1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def test_every_part_is_there_in_its_order():
    page = Page(render_audit(made_audit()))
    titles = [title for _, title in page.headings]
    assert titles == [
        "me-resnet18",
        "Summary",
        "What to do",
        "Findings",
        "By sex",
        "Accuracy by group",
        "Gaps compared with chance",
        "Class by class",
        "Exits by group",
        "Effect of the threshold",
        "Clinical measures for MEL",
        "Compared with plain",
        "Results of each seed",
        "Worst slices",
        "The data",
        "Method and versions",
        "Limits",
        "Glossary",
    ]
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_the_numbers_of_the_audit_stand_on_the_page():
    audit = made_audit()
    text = Page(render_audit(audit)).text
    for words in (*audit.summary, *audit.next_steps, *audit.limits):
        assert words in text
    gap = audit.attributes[0].gaps[1]
    row = "Eopp1 0.093 0.063 to 0.123 0.047 up to 0.071 0.046 0.080 more than chance p = 0.004"
    assert gap.metric == "eopp1"
    assert f"{row} any class: p = 0.002" in text
    assert "mean over the classes by images 0.032, p = 0.130: could be chance" in text
    assert (
        "Eopp1 by images 0.032 0.012 to 0.052 0.021 up to 0.040 0.012 0.050 could be chance" in text
    )
    assert text.count("any class: p") == 1  # Eopp1 alone has the combined test here
    assert "a one class rests on 4 clusters" in text
    assert "unknown sex" in text
    assert "fairexit 0.1.0, python 3.12.1, numpy 2.1.0" in text


def test_every_table_has_a_caption_and_scoped_headers():
    text = render_audit(made_audit())
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        assert "<caption>" in table
        assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", table))
        rows = [
            len(re.findall(r"<t[hd]\b", row)) for row in re.findall(r"<tr.*?</tr>", table, re.S)
        ]
        assert len(set(rows)) == 1
    page = Page(text)
    labels = [a["aria-label"] for tag, a in page.tags if a.get("role") == "region"]
    assert len(labels) == len(set(labels)) == text.count("<table")
    assert len(page.ids) == len(set(page.ids))
    anchors = {a["href"][1:] for tag, a in page.tags if tag == "a" and a["href"].startswith("#")}
    assert anchors <= set(page.ids)


def test_nothing_is_loaded_from_anywhere():
    page = Page(render_audit(made_audit()))
    assert not {"img", "iframe", "object", "embed", "video"} & {tag for tag, _ in page.tags}
    assert all("src" not in attrs for _, attrs in page.tags)
    links = [attrs for tag, attrs in page.tags if tag == "link"]
    assert [attrs["href"] for attrs in links] == ["data:,"]


@pytest.mark.parametrize(
    "bad", [BAD, "<!--", "a\nb", "{{ 1 }}", "'\"><img src=x onerror=alert(1)>"]
)
def test_names_show_as_text(bad):
    audit = made_audit(
        classes=(bad, "NV"),
        attributes={bad + " attribute": (bad, "other")},
        exits=(bad, "f"),
        name=bad,
        positive=(bad,),
    )
    text = render_audit(audit)
    plain = render_audit(made_audit(classes=("a", "NV"), exits=("1", "f"), positive=("a",)))
    assert [tag for tag, _ in Page(text).tags] == [tag for tag, _ in Page(plain).tags]
    assert text.count("<script") == plain.count("<script")
    assert f"Fairness audit of {bad}" in "".join(Page(text).texts)
    data = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)[1]
    assert f"Exit {bad}" in [series["name"] for series in json.loads(data)["series"]]


def test_a_plain_model_without_anything_else(tmp_path):
    audit = made_audit(exits=("f",), positive=())
    first = audit.attributes[0]
    none = {"headlines": (), "dropout": None, "unknown": 0}
    bare = type(first)(**{**vars(first), "paired": (), "seeds": {}, "classes": (), **none})
    facts = type(audit.facts)(**{**vars(audit.facts), "dataset": {}, "hard": True, "split": ""})
    slices = type(audit.slices)((), 0, 7, (), {}, 10)
    write_audit(type(audit)(facts, (bare,), slices), tmp_path / "a" / "page.html")
    page = Page((tmp_path / "a" / "page.html").read_text(encoding="utf-8"))
    titles = [title for _, title in page.headings]
    assert "Exits by group" not in titles
    assert "What to do" not in titles
    assert "Only the table of predictions is known" in page.text
    assert "No slice was large enough" in page.text
    assert "Answers only, no probabilities" in page.text
    assert not [tag for tag, _ in page.tags if tag == "input"]


def test_many_classes_and_groups_stay_far_below_ten_megabytes():
    audit = made_audit(
        classes=tuple(f"condition number {i}" for i in range(114)),
        attributes={
            "fitzpatrick": tuple("123456"),
            "age x sex": tuple(f"age {i}" for i in range(36)),
        },
    )
    text = render_audit(audit)
    assert len(text.encode()) < 4_000_000
    page = Page(text)
    assert page.text.count("The other 99 classes") == 4
    assert "Most frequent errors, fitzpatrick: 1" in page.text
    assert "Confusion matrix" not in page.text


def test_the_size_does_not_depend_on_the_number_of_samples():
    audit = made_audit()
    first = audit.attributes[0]
    many = type(first)(
        **{
            **vars(first),
            "counts": first.counts * 100_000,
            "n": {group: n * 100_000 for group, n in first.n.items()},
        }
    )
    grown = type(audit)(**{**vars(audit), "attributes": (many,)})
    assert len(render_audit(grown)) - len(render_audit(audit)) < 2000


def test_theta_begins_at_the_one_in_use():
    curve = made_audit().attributes[0].curve
    data = slider_data(curve)
    assert abs(float(data["thetas"][data["used"]]) - 0.9) < 0.01
    assert data["at"] == data["used"]
    assert data["in_use"] == "0.9"
    eodd = next(s for s in data["series"] if s["key"] == "eodd")
    assert eodd["values"][0] is None
    assert eodd["values"][-1] == round(curve.metrics["eodd"][-1], 5)
    unknown = slider_data(type(curve)(**{**vars(curve), "used": NAN, "cost": np.empty(0)}))
    assert unknown["used"] is None
    assert unknown["at"] == 30
    assert "cost" not in [s["key"] for s in unknown["series"]]


def test_a_page_without_a_theta_in_use_has_no_way_back():
    audit = made_audit()
    first = audit.attributes[0]
    curve = type(first.curve)(**{**vars(first.curve), "used": NAN})
    changed = type(first)(**{**vars(first), "curve": curve})
    text = render_audit(type(audit)(**{**vars(audit), "attributes": (changed,)}))
    assert "Back to the threshold in use" not in text
    assert "Back to the threshold in use, 0.9" in render_audit(audit)


def test_entanglement_is_shown_where_it_was_measured():
    positions = ["1", "2", "f", "mean"]
    rows = pd.DataFrame(
        [
            {
                "of": of,
                "temperature": t,
                "position": position,
                "snnl": 3.1 - 0.1 * i,
                "change": -0.03,
                "change_low": -0.04,
                "change_high": -0.02,
                "independent": 3.2,
                "independent_change": -0.01,
                "entropy": 0.69,
            }
            for of in ("sex", "target")
            for t in (0.1, 1.0)
            for i, position in enumerate(positions)
        ]
    )
    settings = dict.fromkeys(("split", "features", "scale", "unit"), "as it is")
    found = Entanglement("me", settings, "clusters", rows)
    text = render_audit(made_audit(), found)
    page = Page(text)
    assert "Entanglement by depth" in [title for _, title in page.headings]
    assert "Entanglement with sex, in nats" in page.text
    assert "stage 1 stage 2 final temperature 0.1 temperature 1" in page.text
    assert "3.1000" in page.text
    assert "Entanglement" not in render_audit(made_audit())


def test_a_footnote_is_written_once():
    notes = Footnotes()
    marks = [str(notes.mark(text)) for text in ("small", "", "no interval", "small")]
    assert marks == ["<sup>a</sup>", "", "<sup>b</sup>", "<sup>a</sup>"]
    assert list(notes) == [("a", "small"), ("b", "no interval")]
    for i in range(30):
        notes.mark(str(i))
    letters = [letter for letter, _ in notes]
    assert len(set(letters)) == 32
    assert letters[26] == "aa"


def test_only_addresses_of_the_web_become_links():
    assert str(link("https://a.org/?a=1&b=2")).startswith('<a href="https://a.org/?a=1&amp;b=2"')
    assert str(link("javascript:alert(1)")) == "javascript:alert(1)"
    assert str(link("<i>")) == "&lt;i&gt;"


@given(st.lists(st.floats(-1e3, 1e3) | st.just(math.nan), max_size=6))
def test_an_axis_holds_every_value(values):
    scale = figures.scale_of(values)
    ticks = np.array(scale.ticks)
    assert 2 <= len(ticks) <= 8
    assert scale.low <= 0 <= scale.high
    assert np.allclose(np.diff(ticks), np.diff(ticks)[0])
    for value in values:
        if math.isfinite(value):
            assert scale.low - 1e-6 <= value <= scale.high + 1e-6
            share = (value - scale.low) / (scale.high - scale.low)
            assert scale.at(value) == pytest.approx(100 * min(1, max(0, share)))


def test_a_forest_draws_what_is_known():
    scale = figures.scale_of([0.2])
    whole = str(
        figures.forest(
            scale, around(0.1), null_mean=0.05, null_quantile=0.08, strong=True, tip='a "b"'
        )
    )
    for part in ("chance", "floor", "range", "dot strong", 'data-tip="a &quot;b&quot;"'):
        assert part in whole
    assert 'cx="50.00%"' in whole
    bare = str(figures.forest(scale, Estimate(NAN)))
    assert not re.search("chance|floor|range|dot|data-tip", bare)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
def test_a_stack_fills_its_bar(parts):
    shares = {str(i): part / sum(parts) for i, part in enumerate(parts)}
    drawn = str(figures.stack(shares))
    widths = [float(w) for w in re.findall(r' width="([\d.]+)%"', drawn)]
    assert len(widths) == len(parts)
    assert sum(widths) == pytest.approx(100, abs=0.05)


def test_a_curve_has_a_hole_where_nothing_is_known():
    drawn = str(figures.lines({"f1": np.array([0.1, NAN, 0.3, 0.2])}, {"f1": 0}))
    path = re.search(r'd="([^"]*)"', drawn)[1]
    assert re.findall("[ML]", path) == ["M", "M", "L"]


def test_the_page_answers_first_and_ends_with_a_glossary():
    audit = made_audit(title="Clinic A", cohorts=True)
    text = render_audit(audit)
    page = Page(text)
    main = page.text[page.text.index("Summary MEL by sex") :]
    order = ["found in", "What to do", "Gaps and verdicts", "Samples by sex", "Findings", "Two coh"]
    places = [main.index(words) for words in order]
    assert places == sorted(places)
    assert page.headings[0] == [1, "Clinic A"]
    assert "me-resnet18" in page.text
    terms = re.findall("<dt>(.*?)</dt>", text[text.index('id="glossary"') :])
    assert terms == sorted(terms, key=str.lower)
    assert {"Exact interval", "Lesions", "Exit", "Mix and performance"} <= set(terms)
    assert len(text.encode()) < 700_000


def test_every_cell_carries_the_heading_of_its_column():
    text = label_cells(
        "<table><thead><tr><th scope='col'>Group</th><th>Eopp1 &amp; more"
        '<svg><text>0.1</text></svg></th><th>Of <b>"them"</b></th></tr></thead><tbody><tr>'
        '<th scope="row">f</th><td>1</td><td class="word">2</td></tr></tbody></table><p><td>'
    )
    assert re.findall("<t[dh][^>]*>[^<]*", text.split("<tbody>")[1]) == [
        '<th scope="row">f',
        '<td data-label="Eopp1 &amp; more">1',
        '<td data-label="Of &quot;them&quot;" class="word">2',
        "<td>",
    ]


def test_shares_stand_with_the_samples_behind_them():
    audit = made_audit()
    text = Page(render_audit(audit)).text
    first = audit.attributes[0]
    rate = first.classes[0].rates["female"]
    assert f"female {rate.value:.3f} ({rate.hits} of {rate.n})" in text
    sensitivity = first.clinical[0].groups["male"]["sensitivity"]
    assert f"0.710 {sensitivity.hits} of {sensitivity.n} 0.610 to 0.810" in text
    assert f"male n = {first.n['male']:,}, {first.clusters['male']} lesions" in text


def test_a_small_group_is_marked_wherever_its_number_stands():
    audit = made_audit()
    first = audit.attributes[0]
    small = type(first)(**{**vars(first), "clusters": {**first.clusters, "male": 4}})
    changed = type(audit)(**{**vars(audit), "attributes": (small,)})
    before, after = (Page(render_audit(a)).text for a in (audit, changed))
    assert before.count("male *") == 0
    assert after.count("male *") >= 4
    assert "* fewer than 10 lesions: too few for any conclusion" in after


def test_the_page_and_the_markdown_have_the_same_tables_of_two_cohorts():
    audit = made_audit(cohorts=True)
    first = audit.cohorts[0]
    note = Estimate(0.1, note="no interval: <few> draws")
    gaps = (replace(first.gaps[0], mix=note), *first.gaps[1:])
    audit = replace(audit, cohorts=(replace(first, gaps=gaps),))
    text = Page(render_audit(audit)).text
    for table in cohort_tables(audit.cohorts[0]):
        assert f"### {table.title}\n" in audit.to_markdown()
        for row in (table.columns, *table.rows):
            cells = [re.sub(r" \((.*)\)$", r" \1", cell).replace("; ", " ") for cell in row]
            assert " ".join(cells) in text
    none = replace(first, gaps=())
    page = Page(render_audit(replace(audit, cohorts=(none,)))).text
    assert "so no gap can be compared" in page
    assert "Gaps by sex here and there" not in page
