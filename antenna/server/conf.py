# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Gunicorn's configuration file. Its settings come from the environment: see ``WebServerConfig``."""

import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from gunicorn.http.parser import RequestParser

from antenna.config import AppConfig, ConfigurationError, WebServerConfig, build_config, strip_library_variables
from antenna.hub import look_up_names_apart
from antenna.limits import MAX_HEAD_SIZE
from antenna.ops.prometheus import declare
from antenna.ops.shared_table import shared_table
from antenna.server.addresses import addresses_of, gunicorn_address, keep_ipv6_apart, wait_until_free
from antenna.server.allocator import keep_freed_memory
from antenna.server.first_start import FirstStart
from antenna.server.framed_body import FramedBody
from antenna.server.listener import refuse_new_connections
from antenna.server.request_line import AntennaRequest
from antenna.shared_file import create_shared_file


def _abort_start(error: Exception) -> NoReturn:
    from antenna.server.startup import abort_start  # noqa: PLC0415 - earlier, gevent has not patched what it imports

    abort_start(error)


strip_library_variables(os.environ)
try:
    _config = WebServerConfig(build_config())
    # The options of the application are checked here because gunicorn's logger needs them, and would end with a
    # traceback.
    _app_config = AppConfig(build_config())
    _hosts = addresses_of(_config.listen_address)
except ConfigurationError as _error:
    _abort_start(_error)

_first_start = FirstStart()

# Seconds that a worker waits, when it ends, for the delivery of the spool.
_DELIVERY_GRACE = 3.0

bind = [gunicorn_address(host, port) for port in (_config.port, _config.admin_port) if port for host in _hosts]
backlog = 2048
workers = _config.workers
worker_class = "antenna.server.worker.AntennaWorker"
worker_connections = _config.worker_connections
max_requests = _config.max_requests
max_requests_jitter = _config.max_requests_jitter
keepalive = _config.keepalive
graceful_timeout = _config.graceful_timeout
# Seconds. If the hub of a worker does not turn for this long, the worker is stuck, and is replaced.
timeout = 60
logger_class = "antenna.server.logger.GunicornLogger"
# The workers' heartbeat files are in memory: on a slow disk they can stop a worker, and the disk may be read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - not for our files
control_socket_disable = True
# No header of a client may change the scheme, the path or the script name of its request.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# Since no header is forwarded, it does not matter from whom. This saves gunicorn parsing the client's address.
forwarded_allow_ips = "*"
# One limit on all headers together replaces these: see ``antenna.server.request_line``.
limit_request_line = 0
limit_request_fields = 0
limit_request_field_size = MAX_HEAD_SIZE
# Gunicorn's other parser, in C, accepts line ends and folded headers that this one refuses.
http_parser = "python"


def on_starting(server: Any) -> None:
    """Prepare the master for its workers and for its end. Gunicorn calls this before the first worker starts."""
    # Take as many descriptors as the system allows: each connection needs one, and so does each dump in a file.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    keep_ipv6_apart()
    # When SIGUSR2 starts a new master, gunicorn gives it the environment that it saved at its own start.
    create_shared_file(os.environ, server.cfg.env_orig)
    # If the sockets come from an earlier master, or from systemd, they are in use, and that is right.
    if not (server.master_pid or os.environ.get("LISTEN_FDS")):
        try:
            wait_until_free(server.address)
        except ConfigurationError as error:
            _abort_start(error)
    _first_start.let_one_go_first(server)
    server.stop = partial(_stop, server, server.stop)
    server.instance = shared_table(os.environ, server.cfg.env_orig)
    if _config.admin_port:
        declare(server.instance.series)
    server.reap_workers = partial(_reap, server, server.reap_workers)
    RequestParser.mesg_class = AntennaRequest
    if _config.worker_class != "gevent":
        server.log.warning("GUNICORN_WORKER_CLASS=%s: gevent serves all the same", _config.worker_class)
    # The command that SIGUSR2 runs to start a new master. If it was started by the path of its file, gunicorn would
    # import its own module ``http`` in place of the standard library's.
    server.START_CTX["args"] = [sys.executable, "-m", "gunicorn", *sys.argv[1:]]


def _stop(server: Any, stop: Callable[[bool], None], graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's
    """Stop as gunicorn does, but first let the kernel refuse new connections: see ``refuse_new_connections``."""
    # A socket that is shared with another master, or that belongs to systemd, must go on taking connections.
    if not (server.reexec_pid or server.master_pid or server.systemd):
        for listener in server.LISTENERS:
            refuse_new_connections(listener.sock)
    stop(graceful)


def _reap(server: Any, reap: Callable[[], None]) -> None:
    """Reap ended workers as gunicorn does, but first record how each of them ended. ``child_exit`` is not told that."""
    _record_endings(server)
    reap()


def _record_endings(server: Any) -> None:
    for pid, worker in list(server.WORKERS.items()):
        with contextlib.suppress(ChildProcessError):
            if status := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                worker.ending = _ending(worker, status)


def _ending(worker: Any, status: os.waitid_result) -> str:
    """Return how a worker has ended, as one of ``antenna.ops.instance.ENDINGS``."""
    if worker.aborted:
        return "stuck"
    if status.si_code == os.CLD_EXITED:
        return "failed" if status.si_status else "stopped"
    endings: dict[int, str] = {signal.SIGTERM: "stopped", signal.SIGKILL: "killed"}
    return endings.get(status.si_status, "crashed")


def pre_fork(server: Any, worker: Any) -> None:
    """Give a worker that is about to start its row in the table that all workers share."""
    # The master and its workers share the memory of what the master has imported. A collection of garbage writes into
    # each object that it looks at, and the worker would then have a copy of it. Frozen objects are not looked at.
    gc.freeze()
    worker.instance, worker.row = server.instance, server.instance.admit()


def post_fork(_: Any, worker: Any) -> None:
    """Let a worker that has just been forked take note of signals to stop. Gunicorn calls this in the worker.

    While the worker imports the application, collections would find no garbage, so there are none until it serves.

    Until a worker has handlers of its own, it has those of the master, which note a signal for the master's loop.
    Gunicorn installs the worker's handlers after gevent has patched the process, which takes a tenth of a second. A
    SIGTERM that was lost in this time would let the collector go on until ``GUNICORN_GRACEFUL_TIMEOUT`` is over.
    """
    gc.disable()
    # After SIGTERM the worker starts all the same, because connections may wait that have to be served before the end.
    signal.signal(signal.SIGTERM, worker.handle_exit)
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, _exit)


def _exit(*_: object) -> NoReturn:
    sys.exit(0)


def child_exit(server: Any, worker: Any) -> None:
    """Record in the master that a worker has ended."""
    server.instance.dismiss(worker.row, getattr(worker, "ending", "stopped"))
    # Gunicorn goes on to reap workers that have ended while it reaped this one. Their endings are recorded here.
    _record_endings(server)


def pre_request(_: Any, req: Any) -> None:
    """Replace gunicorn's reader of the body by our own."""
    req.body = FramedBody(req)


def post_worker_init(worker: Any) -> None:
    """Start the application in a worker. The first worker checks that the backends work before it serves."""
    worker.wsgi.join(worker.instance, worker.row)
    keep_freed_memory()
    look_up_names_apart()
    problems = _first_start.problems()
    is_first = problems is None
    if problems is None:
        try:
            problems = worker.wsgi.verify()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the start
            _abort_start(error)
        _first_start.report_serving(problems, worker.ppid)
    elif worker.age <= worker.cfg.workers:
        worker.wsgi.assume(problems)
    worker.wsgi.start()
    # The application's modules stay in use until the worker ends. Frozen, they cost neither collections nor the end any
    # time.
    gc.freeze()
    gc.enable()
    if is_first and _app_config.local_dev_env:
        logging.getLogger(__name__).info("ready: crash reports are taken at %s", _url())


def _url() -> str:
    """Return where a person on this machine reaches the collector."""
    host = "127.0.0.1" if "0.0.0.0" in _hosts else _hosts[0]  # noqa: S104 - nothing is bound here
    return f"http://{gunicorn_address(host, _config.port)}/submit"


def worker_exit(_: Any, worker: Any) -> None:
    """Stop the work in the background.

    If the worker ended while it delivers an entry of the spool, another worker would deliver the entry again.
    """
    if hasattr(worker, "wsgi"):
        worker.wsgi.stop(_DELIVERY_GRACE)
