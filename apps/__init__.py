"""One file a command: parse arguments, call one kbert function, print one summary."""
