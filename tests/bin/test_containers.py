# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The programs that containers run."""

import uuid

import pytest
from gunicorn.arbiter import Arbiter

from bin import healthcheck
from tests.bin.conftest import Collector
from tests.support.programs import free_port
from tests.support.tools import run_shell


class TestHealthcheck:
    def test_succeeds_if_the_collector_serves(self, fs_collector: Collector) -> None:
        port = fs_collector.url.rpartition(":")[2].partition("/")[0]

        assert run_shell("python bin/healthcheck.py", {"PORT": port}, by_itself=True).exit_code == 0

    @pytest.mark.parametrize(
        ("value", "port"),
        [("8123", 8123), ("8123\n", 8123), ("", 8000), (None, 8000), ("tcp://10.0.0.1:80", 8000)],
    )
    def test_asks_where_the_collector_listens(self, value: str | None, port: int) -> None:
        assert healthcheck.configured_port({} if value is None else {"PORT": value}) == port

    @pytest.mark.parametrize(
        ("value", "hosts"),
        [
            (None, ("127.0.0.1", "::1")),
            (" ", ("127.0.0.1", "::1")),
            ("0.0.0.0", ("127.0.0.1",)),  # noqa: S104 - nothing listens here
            ("[::]", ("::1",)),
            ("[2001:db8::1]\n", ("2001:db8::1",)),
            ("10.0.0.1", ("10.0.0.1",)),
            ("pod-1", ("pod-1",)),
        ],
    )
    def test_asks_the_address_the_collector_listens_on(self, value: str | None, hosts: tuple[str, ...]) -> None:
        assert healthcheck.configured_hosts({} if value is None else {"LISTEN_ADDRESS": value}) == hosts

    def test_asks_the_viewer_if_it_is_told_to(self, fs_collector: Collector) -> None:
        port = fs_collector.url.rpartition(":")[2].partition("/")[0]
        environment = {"VIEWER_PORT": port, "PORT": str(free_port()), "VIEWER_LISTEN_ADDRESS": "0.0.0.0"}  # noqa: S104

        assert run_shell("python bin/healthcheck.py viewer", environment).exit_code == 0

    def test_fails_if_nobody_serves(self) -> None:
        assert run_shell("python bin/healthcheck.py", {"PORT": str(free_port())}).exit_code == 1


class TestEntrypoint:
    def test_web_starts_the_collector(self) -> None:
        result = run_shell("bin/entrypoint.sh web", {"PORT": "none"})

        assert result.exit_code == Arbiter.WORKER_BOOT_ERROR
        assert "cannot start: PORT has a bad value" in result.stdout

    def test_viewer_starts_the_viewer(self) -> None:
        result = run_shell("bin/entrypoint.sh viewer", {"VIEWER_PORT": "none"})

        assert result.exit_code == 3
        assert "cannot start the viewer: VIEWER_PORT" in result.stderr

    def test_web_passes_its_arguments_on(self) -> None:
        result = run_shell("bin/entrypoint.sh web --version", {"PORT": "1"})

        assert result.exit_code == 0
        assert "gunicorn" in result.stdout

    def test_shell_is_a_shell(self) -> None:
        assert run_shell("bin/entrypoint.sh shell -c 'echo $0 a b'", {}).stdout in {"bash a b\n", "sh a b\n"}

    def test_nothing_is_told_how_to_use_it(self) -> None:
        result = run_shell("bin/entrypoint.sh", {})

        assert result.exit_code == 1
        assert result.stderr.startswith("Usage: ")
        assert "web" in result.stderr

    def test_other_commands_are_run(self) -> None:
        assert run_shell("bin/entrypoint.sh echo a 'b  c'", {}).stdout == "a b  c\n"


def test_set_up_emulators_may_run_again(gcs_emulator: str, pubsub_emulator: str) -> None:
    name = f"set-up-{uuid.uuid4().hex}"
    environment = {
        "STORAGE_EMULATOR_HOST": gcs_emulator,
        "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": name,
        "PUBSUB_EMULATOR_HOST": pubsub_emulator,
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "local",
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": name,
        "PUBSUB_SUBSCRIPTION_NAME": name,
    }
    made = [
        f"bucket {name}",
        f"topic projects/local/topics/{name}",
        f"subscription projects/local/subscriptions/{name}",
    ]

    first, second = (run_shell("python docker/set_up_emulators.py", environment) for _ in range(2))

    assert first.lines == [f"{what} made" for what in made]
    assert second.lines == [f"{what} is there already" for what in made]
    assert (first.exit_code, second.exit_code) == (0, 0)
