"""Plants the bug that the environment names."""

import importlib
import os

if name := os.environ.get("FAULTS_PLANTED"):
    importlib.import_module(f"tests.faults.planted.{name}")
