# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Options of earlier versions that were removed. If one is still set, a warning at start names it."""

from collections.abc import Iterator, Mapping

#: For each removed option, the fixed value that replaces it, as the end of a sentence.
REMOVED_OPTIONS: dict[str, str] = {
    "BREAKPAD_MAX_ANNOTATIONS": "a report may have 2,000 annotations",
    "BREAKPAD_MAX_ANNOTATIONS_SIZE": "the annotations of a report may take 8 MiB",
    "BREAKPAD_MAX_ANNOTATION_NAME_SIZE": "the name of an annotation may have 1,024 characters",
    "BREAKPAD_MAX_ANNOTATION_VALUE_SIZE": "an annotation may take as much as all of a report, 8 MiB",
    "BREAKPAD_MAX_DUMPS": "a report may have 32 dumps",
    "BREAKPAD_MAX_PART_HEADER_SIZE": "the headers of one part may take 16 KiB",
    "CRASHMOVER_CRASHSTORAGE_KEEP": "the storage in memory keeps 10 objects",
    "CRASHMOVER_SPOOL_DELIVERY_RATE": "a worker delivers at most 500 crashes and 500 ids of the spool a second",
    "CRASHMOVER_SPOOL_MIN_FREE": "the spool leaves 100 MiB of its disk free, or 5 % of a disk of less than 2 GB",
}


def removed_options(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the removed options that are set, each with what replaces it."""
    for name, instead in REMOVED_OPTIONS.items():
        if environ.get(name):
            yield name, instead
