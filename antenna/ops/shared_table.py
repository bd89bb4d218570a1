# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The file in memory that has the table of an instance. One master hands it down to the next."""

import hashlib
from collections.abc import MutableMapping

from antenna.ops.instance import BACKENDS, CHECKS, CONDITIONS, ENDINGS, MAX_WORKERS, WIDTH, Instance, Shared, Worker
from antenna.ops.series import CELLS, DIRECTORY_SIZE, table_size
from antenna.shared_file import create_shared_file, find_shared_file


def shared_table(environ: MutableMapping[str, str], *environs: MutableMapping[str, str]) -> Instance:
    """Return the table of an instance, for its master. The environments hand it down: see ``antenna.shared_file``."""
    variable = f"ANTENNA_INSTANCE_{_layout()}"
    size = (MAX_WORKERS + 1) * WIDTH * 8 + table_size(MAX_WORKERS)
    create_shared_file(environ, *environs, variable=variable, size=size)
    return Instance(descriptor=find_shared_file(environ, variable, size))


def _layout() -> str:
    """Return a text that differs for each layout of the table."""
    lists = [list(Worker.__members__), list(Shared.__members__), CONDITIONS, CHECKS, ENDINGS, list(BACKENDS)]
    layout = repr([*lists, WIDTH, CELLS, DIRECTORY_SIZE])
    return hashlib.sha256(layout.encode()).hexdigest()[:8].upper()
