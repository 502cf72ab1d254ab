"""These tests do not run with the others: `make faults` runs them, alone on the machine."""

import os

collect_ignore_glob = [] if os.environ.get("FAULTS") else ["test_*.py"]
