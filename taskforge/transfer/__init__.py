"""Tasks in and out of files."""
