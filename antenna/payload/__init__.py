# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads a crash report: turns the bytes of a request body into a ``CrashReport``, within limits.

``PayloadReader`` is what the resource calls. ``body`` yields the bytes as they arrive, until a deadline, and ``gunzip``
inflates them. ``multipart`` cuts them into parts, and ``parts`` collects the parts. ``headers`` tells what a part is,
and ``transfer_encoding`` decodes a part that a mail library has encoded. Large content goes to a temporary file: a
``Buffer`` of ``antenna.crash`` asks ``report_room`` for room, which asks ``memory`` and ``temporary_space``, and these
two are shared by all reports of a worker. When all parts are there, ``annotations`` decodes the parts that are
annotations. All other parts are dumps.

Three things are promised. If something is wrong with a report, a ``Refusal`` is raised, whose reason becomes the
answer. If something is odd, a note is added. No report costs more CPU or memory than docs/spec.rst says. Tests are in
tests/payload, for bodies of all shapes in tests/properties, and for what fuzzing has found in tests/fuzz.
"""

from antenna.payload.body import RequestBody
from antenna.payload.reader import PayloadReader

__all__ = ["PayloadReader", "RequestBody"]
