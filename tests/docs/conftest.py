# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures: the built pages, and a collector for their examples."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collector import Collector, DirectoryQueue, DirectoryStore
from tests.support.server import PROJECT_ROOT, AntennaServer, file_system_environment

DOCS = PROJECT_ROOT / "docs"
EXAMPLES = DOCS / "examples"


# Builds pages as ``python -m sphinx`` does, without an index for searches, and with the contents of all pages beside
# the first page only. Each takes a second, and so do the collections of garbage.
_SPHINX = """
import gc, sys
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.cmd.build import main

def leave_out_contents(builder, page, template, context, event):
    if page != "index":
        del context["toctree"]

gc.disable()
StandaloneHTMLBuilder.search = False
StandaloneHTMLBuilder.update_page_context = leave_out_contents
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the built pages. Warnings are errors, and so are links that lead nowhere."""
    target = tmp_path_factory.mktemp("pages")
    doctrees = tmp_path_factory.mktemp("doctrees")
    sphinx = [sys.executable, "-c", _SPHINX, "-b", "html", "-W", "--keep-going", "-n", "-q", "-d", str(doctrees)]
    build = subprocess.run([*sphinx, str(DOCS), str(target)], capture_output=True, text=True, timeout=110, check=False)
    assert build.returncode == 0, build.stderr
    return target


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the collector keeps ``crashes`` and ``queue``."""
    return tmp_path_factory.mktemp("collector")


@pytest.fixture(scope="module")
def collector(directory: Path) -> Iterator[Collector]:
    """A collector for all examples of a module."""
    environment = file_system_environment(directory) | {"BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN": "token"}
    server = AntennaServer(environment, directory)
    try:
        server.wait_until_serving()
        yield Collector(server, DirectoryStore(directory / "crashes"), DirectoryQueue(directory / "queue"))
    finally:
        server.kill()


def run_example(name: str, *arguments: str, **environment: str) -> str:
    """Run a program from ``docs/examples`` as a reader would, and return what it prints."""
    path = EXAMPLES / name
    command = [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=PROJECT_ROOT,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
