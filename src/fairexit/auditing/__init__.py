"""Audit predictions: gaps between groups with intervals and tests, slices, classes and exits."""
