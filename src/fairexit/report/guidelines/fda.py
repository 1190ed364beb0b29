"""The FDA's draft guidance of January 2025 on AI-enabled device software functions."""

from fairexit.report.guidelines.items import (
    Guideline,
    audit_page,
    card,
    data_card,
    environment,
    item,
    sbom,
    settings,
)

FDA = Guideline(
    "FDA draft guidance (January 2025)",
    "Artificial Intelligence-Enabled Device Software Functions: Lifecycle Management and "
    "Marketing Submission Recommendations, draft of January 7, 2025",
    (
        item(
            "Device description",
            "Use of AI, inputs, outputs and role of the AI",
            "intended use, users, environment, workflow, installation and maintenance",
            card("Model", "the output"),
            settings("data, model", "the input and the network"),
        ),
        item(
            "User interface",
            "What users see and do",
            "screens, workflow and where information is shown",
        ),
        item(
            "Labeling",
            "Inputs and outputs in the labeling",
            "instructions, compatible cameras and formats",
            card("Model", "the output and the policy that answers"),
        ),
        item(
            "Labeling",
            "Architecture of the model",
            "a description for users",
            settings("model", "network, exits and heads"),
        ),
        item(
            "Labeling",
            "Development data",
            "clinical sites, period and reference standard",
            data_card("Summary", "source, size, classes and groups"),
        ),
        item(
            "Labeling",
            "Performance data and metrics",
            "clinical sites, period and reference standard of the test data",
            card("Results", "measures with intervals, also by group"),
            card("Data", "the split that was measured"),
        ),
        item(
            "Labeling",
            "Known limits",
            "limits of clinical use",
            card("Limits", "limits of the numbers"),
        ),
        item(
            "Labeling",
            "Degree of automation, installation, customization, patient information",
            "all of these",
        ),
        item(
            "Model card, device",
            "Name, version, manufacturer and regulatory status",
            "manufacturer, device name and status of authorization",
            environment("weights", "checksum of the weights"),
        ),
        item(
            "Model card, use",
            "Intended use, users, population and instructions",
            "all of these, with warnings and contraindications",
        ),
        item(
            "Model card, model",
            "Kind of model, input, output and development",
            "description for users",
            card("Model", "output, exits and threshold"),
            settings("model, method, train", "every setting"),
        ),
        item(
            "Model card, performance",
            "Accuracy with intervals, and limits",
            "clinical acceptance criteria",
            card("Results", "every measure with intervals"),
            card("Limits", "limits of the numbers"),
        ),
        item(
            "Model card, risk",
            "Risks, failure modes and bias",
            "clinical risks and their control",
            card("Summary", "who is worse off, in which disease, by how much"),
            card("Results", "gaps class by class, worst slices"),
        ),
        item(
            "Risk assessment",
            "Risk management file",
            "hazards over the whole life cycle, also of misunderstood information",
        ),
        item(
            "Data management",
            "Collection of the data",
            "sites, period, criteria, acquisition and consent",
            data_card("Source", "source and licence"),
            data_card("Left out", "rows that were left out, with the reason"),
        ),
        item(
            "Data management",
            "Cleaning, processing and annotation",
            "annotators, their qualification and the adjudication",
            data_card("Preparation", "size, cropping and conversions of the images"),
        ),
        item(
            "Data management",
            "Reference standard",
            "how each class was established, and its uncertainty",
        ),
        item(
            "Data management",
            "Independence of development and test data",
            "independence of the clinical sites",
            data_card("Splits", "images and clusters of each split"),
            data_card("Leaks", "clusters and images that splits share, near-duplicates"),
        ),
        item(
            "Data management",
            "Representativeness",
            "comparison with the intended population in the United States",
            data_card("Classes and groups", "classes and groups of each split"),
            data_card("Unknown values", "share of unknown values"),
        ),
        item(
            "Model description and development",
            "Model, training, tuning and threshold",
            "reasons of the design",
            settings("model, method, train, prune", "every setting"),
            card("Model", "how the threshold was chosen"),
        ),
        item(
            "Validation",
            "Plan and results of the performance validation",
            "study protocol and acceptance criteria that were fixed beforehand",
            card("Method", "measures, intervals and tests"),
            card("Results", "the results"),
        ),
        item(
            "Validation",
            "Performance in subgroups",
            "why these subgroups are clinically relevant",
            card("Results", "every measure by group, with intervals and sample sizes"),
            audit_page("Findings", "the verdict on each gap"),
        ),
        item(
            "Validation",
            "Repeatability and reproducibility",
            "repeated images of the same person, other devices and sites",
            card("Results", "several training seeds", needs="seeds"),
        ),
        item("Validation", "Usability and the team of human and AI", "studies with users"),
        item(
            "Performance monitoring",
            "Plan for monitoring in use",
            "what is measured in use, how often, and what follows",
        ),
        item(
            "Cybersecurity",
            "Threats, controls and software bill of materials",
            "threat model, controls, and the software of the whole device",
            sbom("components", "packages of the environment, as CycloneDX"),
        ),
        item(
            "Public submission summary",
            "Summary for the public",
            "the summary, which may contain a model card",
            card("Summary", "a model card to begin from"),
        ),
    ),
    "The items are named after the sections of the draft and of its example model card; the draft "
    "does not number them.",
)
