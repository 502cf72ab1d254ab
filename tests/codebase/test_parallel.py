"""What several processes of tests rely on."""

import subprocess
import sys

import pytest

from tests.support.parallel import LONGEST, MOST
from tests.support.source import ROOT


def test_the_files_to_start_first_are_there() -> None:
    """A renamed file would start in the order of its name and be waited for at the end."""
    assert not [file for file in LONGEST if not (ROOT / file).is_file()]


@pytest.mark.parametrize(
    ("arguments", "processes"), [(["tests/core"], 0), (["-k", "nothing"], 0), ([], MOST), (["-m", "proof"], MOST)]
)
def test_a_narrowed_run_stays_in_one_process(arguments: list[str], processes: int) -> None:
    """Those of several start one more Python each and collect everything twice before the first test runs."""
    code = (
        "import os, sys, pytest\n"
        "os.sched_getaffinity = lambda _: range(64)\n"
        "class Ask:\n"
        "    def pytest_cmdline_main(self, config):\n"
        "        return config.hook.pytest_xdist_auto_num_workers(config=config)\n"
        "sys.exit(pytest.main(['-n', '0', *sys.argv[1:]], plugins=[Ask()]))"
    )
    asked = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=False)
    assert asked.returncode == processes
