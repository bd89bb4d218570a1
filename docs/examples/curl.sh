#!/bin/sh
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

curl --form ProductName=Example --form Version=1.0 \
    --form upload_file_minidump=@tests/data/minidumps/built-linux.dmp \
    "${URL:-http://127.0.0.1:8000/submit}"
