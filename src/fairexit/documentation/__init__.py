"""The documentation of a run for those who answer for it: cards, audit, versions, open items."""
