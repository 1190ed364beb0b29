"""Arithmetic on a table of predictions: thresholds, group metrics, scores. No network is needed."""
