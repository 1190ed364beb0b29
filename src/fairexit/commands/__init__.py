"""One file per command: its signature is the command line. Heavy imports wait for the call."""
