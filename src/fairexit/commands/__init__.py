"""One file for each command; its signature defines the options. Heavy imports wait for the call."""
