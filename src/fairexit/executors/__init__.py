"""Where independent tasks run: processes of this machine, or a Ray cluster. Imports no torch."""
