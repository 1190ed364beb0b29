"""FUTURE-AI: trustworthy and deployable artificial intelligence in healthcare."""

from fairexit.report.guidelines.items import (
    Guideline,
    audit_page,
    card,
    croissant,
    data_card,
    environment,
    item,
    sbom,
    settings,
)

FUTURE_AI = Guideline(
    "FUTURE-AI (2025)",
    "Lekadir et al. 2025, BMJ 388, e081554",
    (
        item(
            "Fairness 1",
            "Sources of bias, named beforehand",
            "sources of bias in this disease, setting and population",
        ),
        item(
            "Fairness 2",
            "Attributes of people are collected",
            "attributes that were not recorded, and why",
            data_card("Classes and groups", "the attributes, with numbers in every split"),
            data_card("Unknown values", "share of unknown values"),
        ),
        item(
            "Fairness 3",
            "Bias is measured, and its correction evaluated",
            "comparison with a model without correction as the baseline of the audit",
            card("Results", "gaps with intervals, compared with chance"),
            settings("method, prune", "the correction"),
            audit_page("Findings", "comparison with a baseline", needs="baseline"),
        ),
        item(
            "Universality 1",
            "Clinical settings and how they differ",
            "settings in which the model is meant to work, and their differences",
        ),
        item(
            "Universality 2",
            "Standards of the community",
            "clinical standards, terminologies and formats that were followed",
            croissant("conformsTo", "the data as Croissant with its responsible-AI part"),
            sbom("bomFormat", "the packages as CycloneDX"),
        ),
        item(
            "Universality 3",
            "Evaluation on external data",
            "evaluation at other institutions, as the second cohort of the audit",
            card("Results", "a second cohort", needs="cohorts"),
        ),
        item("Universality 4", "Validity at the place of use", "evaluation where it will be used"),
        item("Traceability 1", "Risk management", "risks over the lifecycle, and who handles them"),
        item(
            "Traceability 2",
            "Documentation",
            "clinical and user documentation",
            card("Summary", "the model card"),
            data_card("Summary", "the data card"),
            settings("data, model, method, train, prune", "every setting"),
            environment("weights", "checksum of the weights"),
        ),
        item(
            "Traceability 3",
            "Quality control of inputs and outputs",
            "checks of images and answers in use",
        ),
        item(
            "Traceability 4",
            "Periodic audits and updates",
            "the schedule, and thresholds that trigger an update",
        ),
        item("Traceability 5", "Logging of use", "what is logged in use, and for how long"),
        item("Traceability 6", "Governance", "who answers for the model, in which role"),
        item("Usability 1", "Intended use and requirements of users", "use, users, requirements"),
        item("Usability 2", "Interaction and human oversight", "how people check and overrule it"),
        item("Usability 3", "Training of users", "material and courses"),
        item("Usability 4", "Experience of independent users", "a study of usability"),
        item("Usability 5", "Clinical utility and safety", "a study of benefit and harm"),
        item(
            "Robustness 1",
            "Sources of variation of the data",
            "variation of devices, sites and people in use",
        ),
        item(
            "Robustness 2",
            "Training with representative data",
            "how the training data compare with the people in use",
            data_card("Classes and groups", "classes and groups of the training split"),
            settings("data", "augmentation and sampling"),
        ),
        item(
            "Robustness 3",
            "Robustness against real variation",
            "tests with changed, noisy or foreign images",
            audit_page("Worst slices", "groups in which the model is weakest"),
            card("Results", "several training seeds", needs="seeds"),
        ),
        item(
            "Explainability 1", "Need for explanations", "whether and which explanations users need"
        ),
        item("Explainability 2", "Evaluation of explanations", "their correctness and use"),
        item(
            "General 1", "Stakeholders of several disciplines", "who took part, from the start on"
        ),
        item("General 2", "Privacy and data protection", "legal basis and measures"),
        item("General 3", "Measures against identified risks", "the measures for each risk"),
        item(
            "General 4",
            "Plan of the evaluation",
            "test sets, comparators and success criteria that were fixed beforehand",
            card("Method", "measures, intervals and tests"),
        ),
        item("General 5", "Regulation", "the rules that apply, and how they are met"),
        item("General 6", "Ethical issues", "application-specific issues, and what was done"),
        item("General 7", "Social and environmental issues", "effect on work, society and energy"),
    ),
    "The numbers count the recommendations within each principle.",
)
