# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Variables that the platform sets are told apart from those that operators set."""

import pytest

from antenna.config.environment import option_values, service_links, strip_library_variables

LINKS = ["tcp://10.96.0.12:8125", "udp://10.96.0.12:53", "sctp://10.0.0.1:1", "tcp://[fd00::c]:80", " tcp://a.b:1\r\n"]
# Values that operators may set.
VALUES = [
    "8125",
    "tcp://10.96.0.12",
    "http://10.96.0.12:8125",
    "https://public@sentry.example.com:9000/1",
    "statsd:8125",
    "tcp://a:1 b",
]


@pytest.mark.parametrize("link", LINKS)
def test_service_link_counts_as_not_set(link: str) -> None:
    environ = {"STATSD_PORT": link, "STATSD_SERVICE_HOST": "10.96.0.12"}

    assert "STATSD_PORT" not in option_values(environ)
    assert list(service_links(environ, ["STATSD_PORT", "PORT"])) == [("STATSD_PORT", link.strip())]


@pytest.mark.parametrize("value", VALUES)
def test_other_values_are_the_operators(value: str) -> None:
    environ = {"STATSD_PORT": value}

    assert option_values(environ) == environ
    assert list(service_links(environ, environ)) == []


@pytest.mark.parametrize("around", ["\n", "\r\n", " ", "\t", " \n\n"])
def test_white_space_around_values_is_taken_off(around: str) -> None:
    environ = {"SECRET": f"s3 cret{around}", "HOST": f"{around}statsd{around}", "EMPTY": around, "port": "80"}

    assert option_values(environ) == {"SECRET": "s3 cret", "HOST": "statsd"}


def test_white_space_is_taken_off_what_libraries_read() -> None:
    environ = {
        "GOOGLE_APPLICATION_CREDENTIALS": "/key.json\n",
        "STORAGE_EMULATOR_HOST": "gcs:1 ",
        "OTHER": "as is\n",
    }

    strip_library_variables(environ)

    assert environ == {
        "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
        "STORAGE_EMULATOR_HOST": "gcs:1",
        "OTHER": "as is\n",
    }
