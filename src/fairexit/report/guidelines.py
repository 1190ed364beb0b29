"""The items of two reporting guidelines that an audit answers.

TRIPOD+AI: Collins et al. 2024, BMJ 385, e078378. CLAIM, 2024 update: Tejani et al. 2024, Radiology:
Artificial Intelligence 6(4), e240300. The topics are shortened.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fairexit.auditing.results import AuditResults

TRIPOD = {
    "1": "Title",
    "2": "Abstract",
    "3a": "Background: healthcare context",
    "3b": "Background: target population, purpose, users",
    "3c": "Background: known health inequalities",
    "4": "Objectives",
    "5a": "Data: sources and representativeness",
    "5b": "Data: dates",
    "6a": "Participants: setting",
    "6b": "Participants: eligibility",
    "6c": "Participants: treatments",
    "7": "Data preparation",
    "8a": "Outcome: definition",
    "8b": "Outcome: assessors",
    "8c": "Outcome: blinding",
    "9a": "Predictors: choice",
    "9b": "Predictors: definition",
    "9c": "Predictors: assessors",
    "10": "Sample size",
    "11": "Missing data",
    "12a": "Analytical methods: use of the data",
    "12b": "Analytical methods: handling of predictors",
    "12c": "Analytical methods: model building",
    "12d": "Analytical methods: heterogeneity across clusters",
    "12e": "Analytical methods: measures of performance",
    "12f": "Analytical methods: model updating",
    "12g": "Analytical methods: how predictions were calculated",
    "13": "Class imbalance",
    "14": "Fairness",
    "15": "Model output",
    "16": "Training versus evaluation",
    "17": "Ethical approval",
    "18a": "Funding",
    "18b": "Conflicts of interest",
    "18c": "Protocol",
    "18d": "Registration",
    "18e": "Data sharing",
    "18f": "Code sharing",
    "19": "Patient and public involvement",
    "20a": "Participants: flow and outcomes",
    "20b": "Participants: characteristics",
    "20c": "Participants: comparison with the development data",
    "21": "Model development: numbers in each analysis",
    "22": "Model specification",
    "23a": "Model performance with intervals, also in subgroups",
    "23b": "Model performance across clusters",
    "24": "Model updating: results",
    "25": "Interpretation",
    "26": "Limitations",
    "27a": "Usability: poor or missing input",
    "27b": "Usability: interaction and expertise of users",
    "27c": "Usability: next steps",
}

CLAIM = {
    "1": "Title: AI methodology",
    "2": "Abstract",
    "3": "Background, intended use and role",
    "4": "Aims and hypotheses",
    "5": "Prospective or retrospective",
    "6": "Study goal",
    "7": "Data sources",
    "8": "Inclusion and exclusion criteria",
    "9": "Preprocessing",
    "10": "Selection of data subsets",
    "11": "De-identification",
    "12": "Missing data",
    "13": "Image acquisition protocol",
    "14": "Reference standard: definition",
    "15": "Reference standard: rationale",
    "16": "Reference standard: source of annotations",
    "17": "Annotation of the test set",
    "18": "Variability between and within raters",
    "19": "Assignment to partitions",
    "20": "Level at which partitions are disjoint",
    "21": "Intended sample size",
    "22": "Description of the model",
    "23": "Software",
    "24": "Initialisation of parameters",
    "25": "Training",
    "26": "Selection of the final model",
    "27": "Ensembling",
    "28": "Metrics of performance",
    "29": "Significance and uncertainty",
    "30": "Robustness or sensitivity analysis",
    "31": "Explainability",
    "32": "Evaluation on internal data",
    "33": "Testing on external data",
    "34": "Trial registration",
    "35": "Numbers included and excluded",
    "36": "Demographic and clinical characteristics of each partition",
    "37": "Performance and its uncertainty",
    "38": "Diagnostic performance and its precision",
    "39": "Failure analysis",
    "40": "Limitations",
    "41": "Implications for practice",
    "42": "Protocol or technical details",
    "43": "Availability of software, model and data",
    "44": "Funding",
}


@dataclass(frozen=True)
class Answer:
    """The answer of an audit to one item.

    Attributes:
        item: its number.
        topic: its topic, shortened.
        whole: whether the item is answered completely.
        where: section of the card, and its content that answers the item.
    """

    item: str
    topic: str
    whole: bool
    where: str


def tripod_answers(audit: AuditResults) -> list[Answer]:
    """The audit's answers to items of TRIPOD+AI, in the order of the guideline."""
    return _answers(TRIPOD, _tripod(audit))


def claim_answers(audit: AuditResults) -> list[Answer]:
    """The audit's answers to items of CLAIM, in the order of the guideline."""
    return _answers(CLAIM, _claim(audit))


def _answers(items: dict[str, str], answers: Iterator[tuple[str, bool, str]]) -> list[Answer]:
    by_item = {item: (whole, where) for item, whole, where in answers}
    return [Answer(item, topic, *by_item[item]) for item, topic in items.items() if item in by_item]


def _tripod(audit: AuditResults) -> Iterator[tuple[str, bool, str]]:
    if audit.facts.dataset:
        yield "5a", False, "Data: name, source and licence; not how representative they are"
        yield "20a", False, "Data: samples measured, and those left out with the reason"
    else:
        yield "20a", False, "Data: samples measured"
    if audit.facts.dataset.get("leaks"):
        yield "16", False, "Data: people and images that training and evaluation share"
    yield "10", False, "Results: the smallest gap that these samples would have shown"
    yield "11", False, "Data: samples whose attribute is unknown; they are in no group"
    yield "12e", True, "Method: the measures, and why gaps are compared with chance"
    yield "12g", False, "Model: the policy that answers"
    yield "14", False, "Results: the gaps, compared with chance; not how training addressed them"
    yield "15", False, "Model: probabilities or answers, and the threshold in use"
    yield "18f", False, "Method: the version of fairexit that measured"
    yield "20b", False, "Data: samples by class and group"
    yield "21", False, "Data: samples of each class; those of training are not known here"
    yield "23a", True, "Results: every measure by group, with intervals"
    yield "25", False, "Summary"
    yield "26", False, "Limits"
    yield "27c", False, "What to do next"


def _claim(audit: AuditResults) -> Iterator[tuple[str, bool, str]]:
    if audit.facts.dataset:
        yield "7", False, "Data: name, source and licence"
        yield "8", False, "Data: what was left out, and why"
    if audit.facts.dataset.get("leaks"):
        yield "20", False, "Data: lesions or patients, and images, that the splits share"
    if any(a.seeds for a in audit.attributes):
        yield "30", False, "Results: several training seeds"
    if any(a.clinical for a in audit.attributes):
        yield "38", True, "Results: sensitivity, specificity, PPV, NPV, AUROC with intervals"
    yield "10", False, "Data: the split that was measured"
    yield "12", False, "Data: samples whose attribute is unknown"
    yield "21", False, "Results: the smallest gap that these samples would have shown"
    yield "23", False, "Method: versions behind the audit; not those of training"
    yield "28", True, "Method: the measures"
    yield "29", True, "Method: intervals, tests and corrections"
    yield "35", False, "Data: samples and clusters measured"
    yield "36", False, "Data: samples by class and group of the measured split"
    yield "37", False, "Results: of the measured split, with intervals"
    yield "39", True, "Results: gaps class by class; worst slices"
    yield "40", False, "Limits"
