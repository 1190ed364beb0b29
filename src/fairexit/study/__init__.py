"""Studies: grids of runs, their tables and figures, and verdicts on the claims of the paper."""
