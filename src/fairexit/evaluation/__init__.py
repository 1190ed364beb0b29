"""Thresholds, group metrics and scores from a table of predictions. No network is needed."""
