"""Editing after training: FairPrune and its controls, SCP, FairQuantize and SWiFT."""
