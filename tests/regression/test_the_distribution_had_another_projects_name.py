"""Our distribution was called `taskforge`, which is another project on the public index: that name installed theirs."""

import re
import tomllib
from importlib.metadata import entry_points, version

from tests.support.source import ROOT, tracked

INSTALLS = re.compile(r"pip install [^`\n]*\btaskforge\b(?!-server)")


def test_the_distribution_has_a_name_of_its_own_and_the_command_keeps_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "taskforge-server"
    assert version("taskforge-server") == project["version"]
    (command,) = entry_points(group="console_scripts", name="taskforge")
    assert command.dist is not None
    assert command.dist.name == "taskforge-server"


def test_no_page_tells_anybody_to_install_the_other_project() -> None:
    pages = [path for path in tracked() if path.suffix in {".md", ".yaml", ".yml", ".html"}]
    assert not [str(path) for path in pages if INSTALLS.search((ROOT / path).read_text())]
    assert INSTALLS.search("pip install taskforge")
    assert not INSTALLS.search("pip install taskforge-server")
