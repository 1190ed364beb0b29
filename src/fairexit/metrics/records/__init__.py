"""One file for each family of metrics of the counts; every file here is imported at first use."""
