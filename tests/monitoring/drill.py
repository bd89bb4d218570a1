# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The operator's drill: faults are caused on real collectors, and a real Prometheus says which alerts fire.

``python -m tests.monitoring.drill [NAME...]`` plays each fault of ``tests.monitoring.faults``, or those that are named.
Each takes two and a half minutes, and some are played at the same time. For this, all times in the alerts are divided
by 30. The drill needs the emulators and Prometheus. It exits with 1 if an alert is missing, or if another one fires.
"""

import argparse
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.monitoring.faults import FAULTS, NORMAL, Fault, GoogleCloudInstance, Instance
from tests.support.emulators import running_gcs, running_pubsub
from tests.support.faulty import FaultyProxy
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.programs import free_port
from tests.support.prometheus import ALERTS, running_prometheus
from tests.support.server import AntennaServer, google_cloud_environment

# The number by which the times in the alerts are divided.
FACTOR = 30
# Seconds of normal traffic before a fault, which is half of the hour that NoTraffic looks back; and of the fault.
_BEFORE = 60.0
_FAULT = 80.0
# Crashes a second.
_RATE = 4.0
_UNITS = {"s": 1, "m": 60, "h": 3600}


def hastened(text: str, factor: int = FACTOR) -> str:
    """Return rules of Prometheus in which all times are divided by a number."""

    def shorter(match: re.Match[str]) -> str:
        milliseconds = int(match[2]) * _UNITS[match[3]] * 1000 // factor
        return f"{match[1]}{max(1500, milliseconds)}ms"

    text = re.sub(r"(\[|offset |:|for: |interval: )(\d+)([smh])\b", shorter, text)
    return re.sub(r"\b(\d+) \* (3600|60)\b", lambda match: f"{match[1]} * {int(match[2]) // factor}", text)


@contextmanager
def traffic(instance: Instance) -> Iterator[None]:
    """Send crashes that a rule rejects, which need no backend, as long as the block lasts."""
    done = threading.Event()

    def send() -> None:
        while not done.wait(1 / _RATE):
            instance.send(NORMAL)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def play(fault: Fault, gcs: str, pubsub: str) -> tuple[set[str], set[str]]:
    """Play a fault. Return the alerts that fire before it, and those that fire while it lasts."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        storage, publish = (
            stack.enter_context(FaultyProxy(int(address.rpartition(":")[2]))) for address in (gcs, pubsub)
        )
        environment = google_cloud_environment(GcsBucket(gcs), PubSubTopic(pubsub)) | {
            "STORAGE_EMULATOR_HOST": f"http://{storage.address}",
            "PUBSUB_EMULATOR_HOST": publish.address,
            "ADMIN_PORT": str(free_port()),
            "GUNICORN_WORKERS": "2",
            "CRASHMOVER_SPOOL_DIR": str(directory / "spool"),
            "BREAKPAD_TEMP_DIR": str(directory / "temp"),
        }
        (directory / "temp").mkdir()
        environment.update(fault.options(directory))
        server = AntennaServer(environment, directory)
        instance = GoogleCloudInstance(directory, environment, server, storage, publish)
        stack.callback(_kill_server_of, instance)
        server.wait_until_serving()
        rules = directory / "alerts.yml"
        rules.write_text(hastened(ALERTS.read_text(encoding="utf-8")), encoding="utf-8")
        target = f"127.0.0.1:{instance.environment['ADMIN_PORT']}"
        prometheus = stack.enter_context(running_prometheus(directory, target, rules))
        with traffic(instance):
            time.sleep(_BEFORE)
        before = set(prometheus.firing())
        with traffic(instance) if fault.has_traffic else ExitStack(), ExitStack() as broken:
            fault.begin(instance, broken)
            end, fired = time.monotonic() + _FAULT, set[str]()
            while time.monotonic() < end:
                fault.go_on(instance)
                time.sleep(0.5)
                fired |= set(prometheus.firing())
            return before, fired


def _kill_server_of(instance: Instance) -> None:
    """Kill the last server of the instance, since a fault may have started another one."""
    instance.server.kill()


def main() -> int:
    """Play the faults, and print which alerts fire. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="faults to play; all if none is named", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=4, help="how many faults are played at a time")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS if not arguments.names or fault.name in arguments.names]
    failed = 0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        gcs, pubsub = stack.enter_context(running_gcs(directory)), stack.enter_context(running_pubsub(directory))
        pool = stack.enter_context(ThreadPoolExecutor(arguments.jobs))
        outcomes = pool.map(lambda fault: play(fault, gcs, pubsub), faults)
        for fault, (before, then) in zip(faults, outcomes, strict=True):
            at_first = before - ({fault.alert} if fault.is_there_before else set())
            is_right = (at_first, then - fault.on_the_way) == (set(), {fault.alert})
            failed += not is_right
            fired = f"before {sorted(before)}, then {sorted(then)}"
            print("ok   " if is_right else "WRONG", f"{fault.name}: {fired}, expected {fault.alert}", flush=True)
    print(f"{len(faults) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
