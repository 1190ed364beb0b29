"""Is the gap real: intervals, chance, slices, power, and the audit that gathers them."""
