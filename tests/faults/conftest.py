"""These tests run by themselves, alone on the machine: `make faults`, or a part of them with `SIZE=small`."""

import os

SIZE = os.environ.get("FAULTS", "")

collect_ignore_glob = {"": ["test_*.py"], "small": ["test_planted.py"]}.get(SIZE, [])
