# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads a crash report: from the bytes of a request body to a ``CrashReport``, within limits.

``PayloadReader`` drives it. ``body`` gives the bytes as they come, within a deadline, and ``gunzip`` inflates them.
``multipart`` cuts them into parts, and ``parts`` collects these: ``headers`` says what a part is,
``transfer_encoding`` decodes it where a mail library has encoded it. What is large goes to a file: a ``Buffer`` of
``antenna.crash`` asks ``report_room``, and that one asks ``memory`` and ``temporary_space``, which all reports of a
worker share. When all parts are there, ``annotations`` makes values of those that are annotations, and the others are
dumps.

Promised: whatever is wrong with a report is raised as a ``Refusal``, whose reason becomes the answer; what is odd
becomes a note; and no report costs more CPU or memory than docs/spec.rst says. Tested in tests/payload, for bodies of
all shapes in tests/properties, and with what fuzzing has found in tests/fuzz.
"""

from antenna.payload.body import RequestBody
from antenna.payload.reader import PayloadReader

__all__ = ["PayloadReader", "RequestBody"]
