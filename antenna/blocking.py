# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Calls that would stop the gevent hub: disk work goes to gevent's pool of native threads."""

from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import gevent

P = ParamSpec("P")
R = TypeVar("R")


def run_blocking(func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``func`` in a native thread while other greenlets go on; what it returns or raises comes back.

    Without it, a write or an fsync on a slow disk would hold up every connection of the worker.
    """
    result: R = gevent.get_hub().threadpool.apply(func, args, kwargs)
    return result


def iterate_blocking(items: Iterator[bytes]) -> Iterator[bytes]:
    """Iterate ``items``, making each of them in a native thread."""
    while (item := run_blocking(next, items, None)) is not None:
        yield item
