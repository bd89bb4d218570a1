# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An id that takes long to publish waits in the spool, and leaves it when it is published after all."""

from pathlib import Path
from types import SimpleNamespace

import gevent.event
import pytest
from markus.testing import MetricsMock

import antenna.crashmover.publisher
from antenna.backend import BackendError
from antenna.config import build_config
from antenna.crashmover.attempts import Attempts
from antenna.crashmover.publisher import Publisher
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.spool import Kind, Spool
from tests.support.backends import ENVIRONMENT, Publish
from tests.support.crashes import make_id
from tests.support.spools import make_spool, names


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return make_spool(tmp_path / "spool")


@pytest.mark.parametrize(
    ("outcome", "left"), [(None, 0), (BackendError("away"), 1)], ids=["published", "not published"]
)
def test_late_id_is_counted_as_delivered_when_it_leaves_the_spool(
    spool: Spool, metricsmock: MetricsMock, monkeypatch: pytest.MonkeyPatch, outcome: Exception | None, left: int
) -> None:
    counted: list[str] = []
    # Deliveries of other tests, which have not come to their end, count as well.
    counting = SimpleNamespace(incr=lambda name, tags: counted.append(f"{name} {tags[0]}"))
    monkeypatch.setattr(antenna.crashmover.publisher, "metrics", counting)
    crashpublish = Publish(build_config(ENVIRONMENT).with_namespace("crashmover"))
    answered = gevent.event.Event()
    crashpublish.fails = lambda _: outcome if answered.wait(10) else BackendError("no answer")
    attempts = Attempts("publish", timeout=5, max_attempts=1, longest_pause=0.01, spool_takes=lambda: True)
    publisher = Publisher(crashpublish, attempts, SpoolWriter(spool))

    publisher.publish(make_id())

    metricsmock.assert_incr_once("crashmover.spooled", tags=["kind:id"])
    assert counted == []
    answered.set()
    publisher.join(5)
    assert len(names(spool, Kind.ID)) == left
    assert counted == ["published via:live", "delivered kind:id"] * (1 - left)
