"""fairexit: image classifiers that are fair across groups of people."""

__version__ = "0.1.0"
