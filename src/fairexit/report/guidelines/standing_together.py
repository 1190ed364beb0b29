"""STANDING Together: documentation and use of health datasets."""

from fairexit.report.guidelines.items import (
    Guideline,
    audit_page,
    card,
    croissant,
    data_card,
    environment,
    item,
    settings,
)

STANDING_TOGETHER = Guideline(
    "STANDING Together (2025)",
    "Alderman et al. 2025, Lancet Digital Health 7(1), e64-e88",
    (
        item(
            "Part 1, overview",
            "Summary in plain language",
            "a summary for people who are no specialists",
            data_card("Summary", "images, classes, attributes and splits"),
        ),
        item(
            "Part 1, overview",
            "Identity, version, licence and access",
            "custodian, date of release and how access is given",
            data_card("Source", "name, address and licence"),
            data_card("Checksums", "which version of the files was used"),
            croissant("distribution", "the files with their checksums"),
        ),
        item(
            "Part 1, overview",
            "Purpose and funding of the dataset",
            "why and by whom the data were collected, who paid, and uses to avoid",
        ),
        item(
            "Part 1, overview",
            "People behind the dataset",
            "who curated it, and how people like those in the data took part",
        ),
        item(
            "Part 1, origin",
            "How and where the data were collected",
            "institutions, countries, period, devices and reason of collection",
        ),
        item(
            "Part 1, origin",
            "Who was included, and who was left out",
            "criteria and sampling before the download",
            data_card("Left out", "rows that the preparation left out, with the reason, by class"),
        ),
        item(
            "Part 1, origin",
            "Change over time",
            "changes of devices, practice or population during the collection",
        ),
        item(
            "Part 1, people",
            "Groups that are in the data, with numbers",
            "attributes that were not recorded, such as socioeconomic status",
            data_card("Classes and groups", "images by class and group in every split"),
        ),
        item(
            "Part 1, people",
            "How the attributes were defined and recorded",
            "who recorded them (self-reported or assigned), and how categories were merged",
            data_card("Source", "the columns and options they were read with"),
        ),
        item(
            "Part 1, people",
            "Groups at risk of poorer performance or harm",
            "why these groups are at risk, from knowledge of the disease",
            croissant("rai:dataBiases", "groups and classes with few or no images"),
        ),
        item(
            "Part 1, labels",
            "How labels were made, and their quality",
            "annotators, reference standard and agreement",
        ),
        item(
            "Part 1, processing",
            "Cleaning and changes of the data",
            "changes before the download",
            data_card("Preparation", "size, cropping and conversions of the images"),
            croissant("rai:dataPreprocessingProtocol", "the same steps, for machines"),
        ),
        item(
            "Part 1, limits",
            "Missing values, by group",
            "why values are missing, and whether that depends on the person",
            data_card("Unknown values", "share of unknown values of each attribute and split"),
        ),
        item(
            "Part 1, limits",
            "Known biases and errors",
            "biases of selection, measurement and labels",
            data_card("Leaks", "clusters and images that splits share, near-duplicates"),
            data_card("Warnings", "what the preparation noticed"),
        ),
        item(
            "Part 1, governance",
            "Ethics, consent and de-identification",
            "approval, consent, privacy measures and impact assessment",
        ),
        item(
            "Part 2, before use",
            "Whether the dataset fits the purpose",
            "why this dataset suits this use and the people it is meant for",
            data_card("Summary", "what the data hold"),
        ),
        item(
            "Part 2, before use",
            "Limits of the dataset for this use",
            "which of its limits matter for this use",
            card("Limits", "limits of the numbers"),
            data_card("Left to the authors", "what the record of the data does not say"),
        ),
        item(
            "Part 2, groups",
            "Groups of interest, chosen beforehand",
            "why these groups, with people who know them, and which cannot be studied",
            card("Results", "the groups that were compared"),
        ),
        item(
            "Part 2, groups",
            "Performance in each group",
            "",
            card("Results", "every measure by group, with intervals and sample sizes", whole=True),
        ),
        item(
            "Part 2, groups",
            "Comparison between groups, with uncertainty",
            "",
            card("Results", "gaps with intervals, compared with chance", whole=True),
            audit_page("Findings", "the verdict on each gap"),
        ),
        item(
            "Part 2, groups",
            "Groups that overlap, and groups too small to judge",
            "further crossings of attributes that matter",
            card("Results", "the smallest gap that would have shown"),
            audit_page("Worst slices", "groups defined by one or two attributes"),
        ),
        item(
            "Part 2, mitigation",
            "Measures against unequal performance, and their effect",
            "why this method, and comparison with a model without it",
            settings("method, prune", "the method and its settings"),
            audit_page("Findings", "comparison with a baseline", needs="baseline"),
        ),
        item(
            "Part 2, reporting",
            "What remains uncertain or unequal, for those who use the model",
            "risks for groups, and how users are told",
            card("Summary", "who is worse off, and by how much"),
            card("What to do next", "steps that follow from the numbers", needs="steps"),
        ),
        item(
            "Part 2, reporting",
            "Which data were used, and how",
            "data of earlier stages, such as pretraining",
            settings("data", "dataset, augmentation and sampling"),
            environment("data", "checksums of the data"),
        ),
        item(
            "Part 2, after use",
            "Monitoring of the groups in use",
            "plan for measuring each group after deployment",
        ),
    ),
    "The guideline has 29 recommendations in two parts. They are listed here by part and topic, "
    "several together, not by number.",
)
