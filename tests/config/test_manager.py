# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Options come from the environment only; a bad one stops the start, a secret one is never shown."""

import socket
from pathlib import Path

import pytest

from antenna.config import (
    AppConfig,
    ConfigManager,
    ConfigurationError,
    Option,
    WebServerConfig,
    build_config,
    collect_options,
    describe_options,
    mask_value,
    parse_size,
)


class Reader:
    """A component with options."""

    class Config:
        max_size = Option(default="25MiB", doc="Largest size of a body.", parser=parse_size)
        bearer_token = Option(default="", doc="What the submitter shows.")
        bucket_name = Option(doc="Name of the bucket.")

    def __init__(self, config: ConfigManager) -> None:
        self.config = config.with_options(self)
        self.max_size: int = self.config("max_size")
        self.bucket_name: str = self.config("bucket_name")


def reader(**environ: str) -> Reader:
    return Reader(build_config({"BREAKPAD_BUCKET_NAME": "crashes"} | environ).with_namespace("breakpad"))


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8123")

    assert WebServerConfig(build_config()).port == 8123


def test_names_carry_the_namespace_and_values_are_parsed() -> None:
    assert reader().max_size == 25 * 1024 * 1024
    assert reader(BREAKPAD_MAX_SIZE="1kB").max_size == 1000


@pytest.mark.parametrize(
    "environ",
    [{}, {"BREAKPAD_MAX_SIZE": ""}, {"MAX_SIZE": "1"}, {"breakpad_max_size": "1"}, {"Breakpad_Max_Size": "1"}],
)
def test_default_holds_unless_exactly_that_variable_has_a_value(environ: dict[str, str]) -> None:
    assert reader(**environ).max_size == 25 * 1024 * 1024


def test_bad_value_is_an_error_with_name_value_expectation_and_doc() -> None:
    with pytest.raises(ConfigurationError) as caught:
        reader(BREAKPAD_MAX_SIZE="25 potatoes\n")

    assert str(caught.value) == (
        r"BREAKPAD_MAX_SIZE has a bad value '25 potatoes': "
        "expected a size, such as 25MiB, 200 MB or 26214400 (bytes). Largest size of a body."
    )


def test_required_option_that_is_not_set_is_an_error() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^BREAKPAD_BUCKET_NAME is not set: expected text\. Name of the bucket\.$"
    ):
        reader(BREAKPAD_BUCKET_NAME="")


def test_bad_secret_is_masked_in_its_error_and_in_every_chained_one() -> None:
    with pytest.raises(ConfigurationError, match=r"SECRET_SENTRY_DSN has a bad value '\*+'") as caught:
        AppConfig(build_config({"SECRET_SENTRY_DSN": "hunter2"}))

    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("SECRET_SENTRY_DSN", "https://key@host/1", "*****"),
        ("BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN", "abc", "*****"),
        ("SOME_PASSWORD", "abc", "*****"),
        ("API_KEY", "abc", "*****"),
        ("client_secret_file", "abc", "*****"),
        ("SECRET_SENTRY_DSN", "", ""),
        ("PORT", "8000", "8000"),
        ("STORAGE_EMULATOR_HOST", "http://me:hunter2@127.0.0.1:4443", "http://*****@127.0.0.1:4443"),
        ("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443/a@b", "http://127.0.0.1:4443/a@b"),
        ("STORAGE_EMULATOR_HOST", "me:hunter2@127.0.0.1:4443", "*****@127.0.0.1:4443"),
        ("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443/?token=hunter2", "http://127.0.0.1:4443/?*****"),
        ("CMD_PREFIX", "py-spy record --token hunter2", "py-spy *****"),
        ("CMD_PREFIX", "TOKEN=hunter2 py-spy", "py-spy *****"),
        ("CMD_PREFIX", "py-spy", "py-spy"),
        ("CMD_PREFIX", "", ""),
    ],
)
def test_secrets_are_masked_wherever_values_are_shown(name: str, value: str, shown: str) -> None:
    assert mask_value(name, value) == shown


def test_running_configuration_is_every_option_of_a_component_with_secrets_masked() -> None:
    options = dict(collect_options(reader(BREAKPAD_BEARER_TOKEN="hunter2").config))

    assert options == {
        "BREAKPAD_MAX_SIZE": "25MiB",
        "BREAKPAD_BEARER_TOKEN": "*****",
        "BREAKPAD_BUCKET_NAME": "crashes",
    }


def test_component_without_options_has_no_configuration_to_show() -> None:
    assert list(collect_options(build_config({}).with_namespace("crashmover"))) == []


def test_options_are_described_without_an_environment() -> None:
    max_size, _, bucket_name = describe_options(Reader, "breakpad", "reader")

    assert max_size.name == "BREAKPAD_READER_MAX_SIZE"
    assert max_size.default == "25MiB"
    assert max_size.doc == "Largest size of a body."
    assert max_size.expected == parse_size.expected
    assert bucket_name.default is None


@pytest.mark.parametrize("component", [AppConfig, WebServerConfig])
def test_every_option_has_a_one_line_doc(component: type) -> None:
    for option in describe_options(component):
        assert option.doc
        assert "\n" not in option.doc


def test_application_has_good_defaults() -> None:
    app_config = AppConfig(build_config({}))

    assert (app_config.basedir / "antenna").samefile(Path(__file__).parents[2] / "antenna")
    assert app_config.logging_level == "INFO"
    assert app_config.local_dev_env is False
    assert app_config.statsd_host == ""
    assert app_config.statsd_port == 8125
    assert app_config.secret_sentry_dsn == ""
    assert app_config.hostname == socket.gethostname()


def test_application_takes_what_is_set() -> None:
    app_config = AppConfig(
        build_config(
            {
                "BASEDIR": "/app",
                "LOGGING_LEVEL": "warning",
                "LOCAL_DEV_ENV": "True",
                "STATSD_HOST": "statsd",
                "STATSD_PORT": "9125",
                "STATSD_NAMESPACE": "antenna.prod",
                "SECRET_SENTRY_DSN": "https://key@host/1",
                "HOSTNAME": "antenna-7",
            }
        )
    )

    assert app_config.basedir == Path("/app")
    assert app_config.logging_level == "WARNING"
    assert app_config.local_dev_env is True
    assert (app_config.statsd_host, app_config.statsd_port) == ("statsd", 9125)
    assert app_config.statsd_namespace == "antenna.prod"
    assert app_config.secret_sentry_dsn == "https://key@host/1"
    assert app_config.hostname == "antenna-7"


def test_web_server_has_good_defaults() -> None:
    web_server = WebServerConfig(build_config({}))

    assert web_server.port == 8000
    assert web_server.workers == 1
    assert web_server.worker_class == "gevent"
    assert web_server.worker_connections == 4000
    assert (web_server.max_requests, web_server.max_requests_jitter) == (0, 0)
    # Load balancers keep idle connections for 60 s. They must close a connection before the collector does.
    assert web_server.keepalive > 60
    assert web_server.graceful_timeout == 30


def test_gunicorn_gets_whole_seconds() -> None:
    assert WebServerConfig(build_config({"GUNICORN_KEEPALIVE": "1500ms"})).keepalive == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("GUNICORN_WORKERS", "0"),
        ("GUNICORN_WORKERS", "8000"),
        ("GUNICORN_WORKER_CONNECTIONS", "-1"),
        ("GUNICORN_MAX_REQUESTS", "-1"),
        ("GUNICORN_MAX_REQUESTS_JITTER", "x"),
        ("GUNICORN_KEEPALIVE", "0"),
        ("GUNICORN_GRACEFUL_TIMEOUT", "soon"),
        ("LOGGING_LEVEL", "LOUD"),
        ("LOCAL_DEV_ENV", "maybe"),
        ("STATSD_PORT", "8125/udp"),
        ("STATSD_NAMESPACE", "a b"),
        ("SECRET_SENTRY_DSN", "https://host"),
    ],
)
def test_bad_option_stops_the_start_and_is_named(name: str, value: str) -> None:
    config = build_config({name: value})

    with pytest.raises(ConfigurationError, match=f"^{name} has a bad value .*expected "):
        _ = AppConfig(config), WebServerConfig(config)


def test_admin_port_has_to_be_another_port() -> None:
    config = build_config({"PORT": "8125", "ADMIN_PORT": "8125"})

    with pytest.raises(ConfigurationError, match="ADMIN_PORT has a bad value '8125': expected another port than PORT"):
        WebServerConfig(config)
