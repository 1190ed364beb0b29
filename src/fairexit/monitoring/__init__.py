"""Watching a deployed model: later answers compared with those of known quality."""
