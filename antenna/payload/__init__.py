# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads a crash report: from the bytes of a request body to a ``CrashReport``, within limits.

``PayloadReader`` drives it: a body is inflated by ``gunzip``, cut into parts by ``multipart``, and ``parts`` turns each
part into annotations or a dump. ``memory`` and ``temporary_space`` bound what all reports of a worker take together.
Whatever is wrong with a report is raised as a ``Refusal``, whose reason becomes the answer.
"""

from antenna.payload.body import RequestBody
from antenna.payload.reader import PayloadReader

__all__ = ["PayloadReader", "RequestBody"]
