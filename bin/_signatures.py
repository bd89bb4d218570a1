# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the signatures of stored crashes, for programs that handle many of them."""

from bin import _crashes, _minidumps  # isort: split

from antenna.backend import BackendError
from antenna.crash import dump_path, identify
from antenna.ext import CrashStorageBase
from antenna.minidump import Minidump, MinidumpError
from antenna.symbols import Signature, Store, crash_facts, sign

_MINIDUMP = "upload_file_minidump"


def sign_stored(storage: CrashStorageBase, store: Store | None, crash: _crashes.ListedCrash) -> Signature:
    """Return the signature of a crash. Its minidump is read from the storage."""
    product = identify(crash.raw_crash, "product")
    names = crash.dump_names
    trouble = ""
    if _MINIDUMP in names:
        try:
            content = storage.load(dump_path(crash.crash_id, _MINIDUMP))
            if content is not None:
                return _minidumps.ReadDump(Minidump(content), store).sign(crash.raw_crash, product, names)
            trouble = "the minidump is missing"
        except (MinidumpError, BackendError) as error:
            trouble = f"the minidump cannot be read: {error}"
    return sign(crash_facts(crash.raw_crash, product, names, None, trouble))
