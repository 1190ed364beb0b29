"""The table of predictions, from files, arrays and data frames. No network is needed."""
