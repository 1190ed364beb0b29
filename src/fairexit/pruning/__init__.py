"""Pruning after training: FairPrune, and magnitude and random pruning beside it."""
