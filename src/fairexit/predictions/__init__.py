"""The table of predictions: its columns, its files, arrays and frames. No network is needed."""
