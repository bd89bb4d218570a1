# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The cases of the benchmark.

A case says which crashes are sent, by how many clients, and how fast the backends are.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A case. It is one line of the table."""

    name: str
    doc: str
    #: Name of a function of ``tests.bench.crashes``.
    traffic: str
    clients: int = 64
    #: Seconds from the end of a request to the answer.
    storage_latency: float = 0.0
    publish_latency: float = 0.0
    #: Whether the collector saves and publishes over TLS, as it does on Google Cloud.
    over_tls: bool = False


_CASES = [
    Case("kept", "kept, 400 kB, gzip", "kept"),
    Case("kept-tls", "the same, saved and published over TLS", "kept", over_tls=True),
    Case("rejected", "rejected, 400 kB, gzip", "rejected"),
    Case("large", "kept, 12 MB dump, gzip", "large", clients=8),
    Case("large-tls", "the same, over TLS", "large", clients=8, over_tls=True),
    Case("latency", "kept, storage 50 ms", "kept", storage_latency=0.05),
    Case(
        "latency-high",
        "kept, storage 200 ms, publishing 100 ms, 256 clients",
        "kept",
        clients=256,
        storage_latency=0.2,
        publish_latency=0.1,
    ),
    Case("chunked", "kept, 400 kB, gzip, chunked", "chunked"),
    Case("key-value", "kept, 400 kB, key/value, no gzip", "key_value"),
    Case("tiny", "kept, 1 kB, gzip", "tiny"),
    Case("mixed", "9 of 10 rejected, 400 kB, gzip", "mixed"),
]
CASES = {case.name: case for case in _CASES}
