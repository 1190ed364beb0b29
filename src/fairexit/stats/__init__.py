"""Statistics of labelled samples in clusters: intervals, chance, differences, power."""
