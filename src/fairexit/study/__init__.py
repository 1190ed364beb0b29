"""Grids of runs, and what they say about the claims of the paper."""
