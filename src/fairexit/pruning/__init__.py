"""Pruning after training: FairPrune, and magnitude and random pruning as controls."""
