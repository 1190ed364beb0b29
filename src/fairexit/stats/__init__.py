"""Statistics of labelled samples in clusters: intervals, permutation tests, differences, power."""
