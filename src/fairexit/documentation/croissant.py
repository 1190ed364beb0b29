"""Prepared data described as Croissant 1.1, with the properties of its responsible-AI part.

Croissant: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html.
"""

import re
from typing import Any

from fairexit.data.causes import ORIGINAL
from fairexit.data.prepared import Prepared
from fairexit.data.records import SPLITS
from fairexit.data.verify import IMAGES, RECORDS, sha256
from fairexit.documentation import data_facts as facts

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification gives; other keys would make readers warn."""
SPLIT_TYPES = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}


def croissant(data: Prepared) -> dict[str, Any]:
    """The description as JSON-LD, whose file addresses are relative to the prepared folder.

    Properties that the record of the data does not state, such as creators, are left out.
    """
    info = data.info
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": data.name,
        "description": " ".join(facts.summary_lines(data)),
        **({"url": info["website"]} if info["website"] else {}),
        **({"license": info["licence"]} if info["licence"] else {}),
        **_responsible(data),
        "distribution": [_records_file(data), _images_file(data)],
        "recordSet": [*_enumerations(data), _records(data)],
    }


def _responsible(data: Prepared) -> dict[str, Any]:
    """The properties of the responsible-AI part that the record of the data answers."""
    attributes = [f"{name}: {', '.join(groups)}" for name, groups in data.attributes.items()]
    values = {
        "dataCollectionMissingData": " ".join(facts.unknown_lines(data)),
        "dataPreprocessingProtocol": [*facts.preparation_lines(data)],
        "dataManipulationProtocol": " ".join(facts.planted_lines(data)),
        "dataBiases": [*facts.bias_lines(data), *facts.planted_lines(data)],
        "dataLimitations": [*facts.leak_lines(data), *facts.warning_lines(data)],
        "personalSensitiveInformation": attributes,
    }
    return {f"rai:{name}": value for name, value in values.items() if value}


def _records_file(data: Prepared) -> dict[str, Any]:
    file = data.path / RECORDS
    return {
        "@type": "cr:FileObject",
        "@id": RECORDS,
        "name": RECORDS,
        "description": "One row for each image.",
        "contentUrl": RECORDS,
        "contentSize": f"{file.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256(file),
    }


def _images_file(data: Prepared) -> dict[str, Any]:
    shape = " x ".join(map(str, data.images.shape))
    return {
        "@type": "cr:FileObject",
        "@id": IMAGES,
        "name": IMAGES,
        "description": f"The images as a NumPy array of bytes, {shape}, in the order of {RECORDS}.",
        "contentUrl": IMAGES,
        "contentSize": f"{(data.path / IMAGES).stat().st_size} B",
        "encodingFormat": "application/octet-stream",
        "sha256": data.info["checksums"][IMAGES],
    }


def _enumerations(data: Prepared) -> list[dict[str, Any]]:
    """The classes, the groups of each attribute, and the splits, to which fields refer."""
    named = {"classes": data.classes, **{_groups_of(n): g for n, g in data.attributes.items()}}
    sets = [
        {
            "@type": "cr:RecordSet",
            "@id": id,
            "name": id,
            "dataType": "sc:Enumeration",
            "key": {"@id": f"{id}/name"},
            "field": [_field(f"{id}/name", "sc:Text", "A value.")],
            "data": [{f"{id}/name": value} for value in values],
        }
        for id, values in named.items()
    ]
    if "fold" in data.frame:
        return sets
    fields = [
        _field("splits/name", "sc:Text", "A split."),
        _field("splits/url", ["sc:URL", "cr:Split"], "Its purpose."),
    ]
    rows = [{"splits/name": name, "splits/url": SPLIT_TYPES[name]} for name in SPLITS]
    return [
        *sets,
        {
            "@type": "cr:RecordSet",
            "@id": "splits",
            "name": "splits",
            "dataType": "cr:Split",
            "key": {"@id": "splits/name"},
            "field": fields,
            "data": rows,
        },
    ]


def _records(data: Prepared) -> dict[str, Any]:
    """The table of images."""
    fields = [
        _column("id", "Unique name of the image."),
        _column("label", "Class of the image.", refers_to="classes"),
        *(
            _column(name, f"Group of {name}; empty if it is not known.", refers_to=_groups_of(name))
            for name in data.attributes
        ),
        _column("cluster", "Lesion or patient; empty if the image is a cluster of its own."),
    ]
    if "fold" in data.frame:
        fields.append(_column("fold", "Fold of the image.", kind="sc:Integer"))
    else:
        fields.append(_column("split", "Split of the image.", refers_to="splits"))
    if ORIGINAL in data.frame:
        fields.append(_column(ORIGINAL, "Class of the image before a cause was planted."))
    return {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "description": "The images with their classes, groups, clusters and splits.",
        "key": {"@id": "records/id"},
        "field": fields,
    }


def _groups_of(attribute: str) -> str:
    return f"groups-{_identifier(attribute)}"


def _identifier(name: str) -> str:
    """A name as part of an identifier, in which readers allow no blanks and no escapes."""
    return re.sub(r"\W", lambda match: f"-{ord(match[0]):x}-", name)


def _field(id: str, kind: str | list[str], description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": id,
        "name": id,
        "description": description,
        "dataType": kind,
    }


def _column(
    name: str, description: str, *, kind: str = "sc:Text", refers_to: str = ""
) -> dict[str, Any]:
    """A field that is a column of the records, and refers to a set of values if one is given."""
    return {
        **_field(f"records/{_identifier(name)}", kind, description),
        "source": {"fileObject": {"@id": RECORDS}, "extract": {"column": name}},
        **({"references": {"field": {"@id": f"{refers_to}/name"}}} if refers_to else {}),
    }
