"""The public functions of the package root, each with the defaults of the command of its name.

Functions that work on tables do not import torch, and bad input is refused before heavy imports.
"""
