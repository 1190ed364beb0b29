"""Metrics of the counts, one file for each family; all of them are imported at first use."""
