"""One module per command, each with `run(args, settings) -> int`, the exit code; loaded when chosen."""
