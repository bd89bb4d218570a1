# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A misspelt option is found, and variables of other programs are left alone."""

import pytest

from antenna.config.names import OF_OUR_CLASSES, describe_unknown, unknown_names
from tests.support.options import OPTION_NAMES


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BREAKPAD_MAX_PAYLOADSIZE", "BREAKPAD_MAX_PAYLOAD_SIZE"),
        ("CRASHMOVER_SPOOLDIR", "CRASHMOVER_SPOOL_DIR"),
        ("CRASHMOVER_SPOOL_DIRECTORY", "CRASHMOVER_SPOOL_DIR"),
        ("CRASHMOVER_CRASHSTORAGE_BUCKETNAME", "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME"),
        ("GUNICORN_WORKER", "GUNICORN_WORKERS"),
        ("STATSD_HOSTS", "STATSD_HOST"),
        ("STATD_HOST", "STATSD_HOST"),
        ("LOGING_LEVEL", "LOGGING_LEVEL"),
        ("SECRET_SENTRY_DNS", "SECRET_SENTRY_DSN"),
        ("crashmover_spool_dir", "CRASHMOVER_SPOOL_DIR"),
        ("BREAKPAD_QWERTY", ""),
    ],
)
def test_misspelt_name_is_found(name: str, meant: str) -> None:
    assert list(unknown_names({name: "1"}, OPTION_NAMES)) == [(name, meant)]
    assert describe_unknown(name, meant).endswith(f"did you mean {meant}?" if meant else "there is no such option")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "1") for name in sorted(OPTION_NAMES)),
        ("GUNICORN_CMD_ARGS", "--preload"),
        ("GUNICORN_PID", "7"),
        ("GUNICORN_FD", "5,6"),
        # Variables that Kubernetes sets for each service.
        ("STATSD_SERVICE_HOST", "10.96.0.12"),
        ("STATSD_SERVICE_PORT", "8125"),
        ("STATSD_SERVICE_PORT_UDP", "8125"),
        ("STATSD_PORT_8125_UDP", "udp://10.96.0.12:8125"),
        ("STATSD_PORT_8125_UDP_PROTO", "udp"),
        ("STATSD_PORT_8125_UDP_ADDR", "10.96.0.12"),
        ("BREAKPAD_PORT", "tcp://10.96.0.13:80"),
        ("CRASHMOVER_NAME", "/antenna/crashmover"),
        # Variables of the system, of shells and of languages.
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("VIRTUAL_ENV", "/venv"),
        ("HOME", "/"),
        ("REPORT", "1"),
        ("BREAKPAD_MAX_PAYLOADSIZE", ""),
    ],
)
def test_everything_else_is_left_alone(name: str, value: str) -> None:
    assert list(unknown_names({name: value}, OPTION_NAMES)) == []


def test_options_of_our_classes_are_known_whichever_is_used() -> None:
    prefixes = ("CRASHMOVER_CRASHSTORAGE_", "CRASHMOVER_CRASHPUBLISH_")

    assert {name for name in OPTION_NAMES if name.startswith(prefixes)} <= {
        *OF_OUR_CLASSES,
        "CRASHMOVER_CRASHSTORAGE_CLASS",
        "CRASHMOVER_CRASHPUBLISH_CLASS",
    }
