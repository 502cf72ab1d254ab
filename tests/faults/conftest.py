"""These tests do not run with the others: `make faults` runs them, alone on the machine, or some of them (`SIZE=small`)."""

import os

SIZE = os.environ.get("FAULTS", "")

collect_ignore_glob = {"": ["test_*.py"], "small": ["test_planted.py"]}.get(SIZE, [])
