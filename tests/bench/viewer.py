# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Measures the viewer's index: how fast crashes come in, and how fast pages come out.

``python -m tests.bench.viewer`` fills an index with 200,000 crashes of 60 days, such as a product with many users has
them, and asks it for pages. Times are those of the CPU, so that other work on the machine does not count.
"""

import argparse
import functools
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from falcon.testing import TestClient

from antenna.crash.crash_id import mint
from antenna.viewer.app import ViewerApp
from antenna.viewer.index import CrashRow, Index, StackModule
from antenna.viewer.options import INDEX_FILE
from tests.support.viewer import viewer_environment

DAYS = 60
SIGNATURES = 3000
_LIBRARIES = [f"lib{number}.so" for number in range(120)]
_ANNOTATIONS = [f"Annotation{number}" for number in range(15)]
_VALUES = [f"value{number}" for number in range(50)]
_BATCH = 50
_REPEATS = 15


def crashes(count: int, seed: int = 1) -> Iterator[CrashRow]:
    """Yield crashes: few signatures have most of them, and each has a stack of 30 functions."""
    generator = random.Random(seed)
    names = [f"{generator.choice(('mozilla', 'base', 'gfx'))}::Class{number}::Method{number}" for number in range(8000)]
    weights = [1 / (number + 1) for number in range(SIGNATURES)]
    chosen = generator.choices(range(SIGNATURES), weights, k=count)
    now = datetime.now(UTC)
    for signature in chosen:
        came = now - timedelta(days=generator.randrange(DAYS), seconds=generator.randrange(3600))
        stack = [names[signature], *generator.choices(names, k=30)]
        annotations = {name: generator.choice(_VALUES) for name in _ANNOTATIONS}
        yield CrashRow(
            mint(0, came),
            came.timestamp(),
            names[signature],
            product=generator.choice(("Firefox", "Fenix", "Thunderbird", "MyApp")),
            version=f"{generator.randrange(140, 154)}.{generator.randrange(3)}",
            channel=generator.choice(("release", "beta", "nightly")),
            os=generator.choice(("Windows", "Windows", "Windows", "Linux", "macOS", "Android")),
            cpu="amd64",
            reason="SIGSEGV / SEGV_MAPERR",
            address="0x0",
            rule="accept",
            words="\n".join(stack),
            stack_modules=_stack_modules(signature),
            loaded="\n".join(_LIBRARIES),
            annotations=annotations,
            body=_body(stack),
        )


def _stack_modules(signature: int) -> tuple[StackModule, ...]:
    numbers = [number % 40 for number in range(signature, signature + 6)]
    return tuple(StackModule(_LIBRARIES[n], f"{n:033X}", _LIBRARIES[n], n % 3 == 0) for n in numbers)


def _body(stack: list[str]) -> dict[str, object]:
    frames = [
        {"address": hex(0x7F00_0000_0000 + number * 4096), "module": "libxul.so", "function": name, "trust": "cfi"}
        for number, name in enumerate(stack)
    ]
    dump = {"stack": frames, "threads": [{"index": 0, "stack": frames}]}
    return {"processed": {"dump": dump}, "annotations": {}, "shown": [], "notes": [], "dumps": []}


def fill(index: Index, count: int) -> float:
    """Add crashes in the consumer's batches; return how many a second of CPU."""
    spent = 0.0
    found = crashes(count)
    while batch := list(islice(found, _BATCH)):
        began = time.process_time()
        index.add(batch)
        spent += time.process_time() - began
    return count / spent


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median of what ``work`` takes."""
    times = []
    for _ in range(_REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times) * 1000


def measure(directory: Path, count: int) -> Iterator[tuple[str, float]]:
    """Yield what was measured, and the number."""
    app = ViewerApp(viewer_environment(directory))
    client = TestClient(app)

    def page(path: str) -> None:
        assert client.simulate_get(path, host="127.0.0.1").status_code == 200

    yield "inserts a second", fill(app.consumer.index, count)
    paths = {
        "top crashers of a week": "/?days=7",
        "top crashers of a week and a product": "/?days=7&product=Firefox",
        "top crashers of all days": f"/?days={DAYS}",
        "search for a frequent word": "/search?q=mozilla",
        "search for a function": "/search?q=Class17::Method17",
        "search for two words": "/search?q=Class17 Class1",
        "search for a beginning": "/search?q=Class17::Meth",
        "search for a beginning that nothing has with the first word": "/search?q=Class17 Nothing",
        "search by product and version, all days": "/api/search?date=>=2020-01-01&product=Firefox&version=>=150",
        "search by a part of the signature, all days": "/api/search?date=>=2020-01-01&signature=~Class17",
        "search with counts by product and version, all days": "/api/search?date=>=2020-01-01&_aggs.product=version",
        "missing symbols": "/symbols",
        "status": "/status",
    }
    for name, path in paths.items():
        yield name, milliseconds(functools.partial(page, path))
    (signature,) = app.consumer.index.database.execute(
        "SELECT text FROM signatures JOIN crashes ON signature = signatures.id GROUP BY signature "
        "ORDER BY count(*) DESC LIMIT 1"
    ).fetchone()
    yield "the most frequent signature", milliseconds(functools.partial(page, f"/signature/?signature={signature}"))
    yield "MiB of the index", (directory / "viewer" / INDEX_FILE).stat().st_size / 1024**2
    yield "MiB of memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    app.close()


def main() -> int:
    """Print the numbers as JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crashes", type=int, default=200_000, help="how many (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for what, number in measure(Path(name), args.crashes):
            print(json.dumps({what: round(number, 1)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
