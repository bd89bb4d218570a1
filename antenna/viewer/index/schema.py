# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The tables of the index."""

import zlib

from antenna.viewer.supersearch import tables

# Version of the content of bodies and words. Raise it when the content changes. Then every viewer makes its index anew.
_CONTENT_VERSION = 1

#: The columns of a crash that rows and exports share, in the order of the table.
COLUMNS = (
    "crash_id", "day", "submitted", "product", "version", "channel", "build", "os", "os_version", "cpu", "process",
    "reason", "address", "rule", "failed",
)  # fmt: skip

TABLES = (
    """
CREATE TABLE signatures (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    first_version TEXT NOT NULL
);
-- What people say of a signature. It is kept when the rest is made anew.
CREATE TABLE IF NOT EXISTS opinions (
    signature TEXT PRIMARY KEY,
    fixed_in TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT ''
);
CREATE TABLE crashes (
    id INTEGER PRIMARY KEY,
    signature INTEGER NOT NULL REFERENCES signatures (id),
    crash_id TEXT NOT NULL UNIQUE,
    day TEXT NOT NULL,
    submitted REAL NOT NULL,
    product TEXT NOT NULL,
    version TEXT NOT NULL,
    channel TEXT NOT NULL,
    build TEXT NOT NULL,
    os TEXT NOT NULL,
    os_version TEXT NOT NULL,
    cpu TEXT NOT NULL,
    process TEXT NOT NULL,
    reason TEXT NOT NULL,
    address TEXT NOT NULL,
    rule TEXT NOT NULL,
    failed TEXT NOT NULL
);
CREATE INDEX crashes_by_day ON crashes (day);
CREATE INDEX crashes_by_signature ON crashes (signature, submitted, cpu, process, reason);
CREATE INDEX crashes_by_time ON crashes (submitted);
CREATE INDEX crashes_that_failed ON crashes (submitted) WHERE failed != '';
-- How many crashes are alike: the pages add these up, which takes far less than counting crashes.
CREATE TABLE counts (
    day TEXT NOT NULL,
    product TEXT NOT NULL,
    channel TEXT NOT NULL,
    signature INTEGER NOT NULL,
    version TEXT NOT NULL,
    os TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, product, channel, signature, version, os)
) WITHOUT ROWID;
CREATE INDEX counts_by_signature ON counts (signature, day, version, os, count);
-- The same without signatures, which are many.
CREATE TABLE daily_counts (
    day TEXT NOT NULL,
    product TEXT NOT NULL,
    channel TEXT NOT NULL,
    version TEXT NOT NULL,
    rule TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, product, channel, version, rule)
) WITHOUT ROWID;
CREATE TRIGGER crash_comes AFTER INSERT ON crashes BEGIN
    INSERT INTO counts VALUES (new.day, new.product, new.channel, new.signature, new.version, new.os, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO daily_counts VALUES (new.day, new.product, new.channel, new.version, new.rule, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER crash_goes AFTER DELETE ON crashes BEGIN
    UPDATE counts SET count = count - 1 WHERE day = old.day AND product = old.product AND channel = old.channel
        AND signature = old.signature AND version = old.version AND os = old.os;
    DELETE FROM counts WHERE count = 0 AND day = old.day AND product = old.product AND channel = old.channel
        AND signature = old.signature AND version = old.version AND os = old.os;
    UPDATE daily_counts SET count = count - 1 WHERE day = old.day AND product = old.product
        AND channel = old.channel AND version = old.version AND rule = old.rule;
    DELETE FROM daily_counts WHERE count = 0 AND day = old.day AND product = old.product
        AND channel = old.channel AND version = old.version AND rule = old.rule;
    DELETE FROM bodies WHERE crash = old.id;
    DELETE FROM words WHERE rowid = old.id;
    DELETE FROM stack_modules WHERE crash = old.id;
END;
-- Apart from the rest, so that what is counted lies together on few pages of the disk.
CREATE TABLE bodies (crash INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE modules (
    id INTEGER PRIMARY KEY,
    debug_file TEXT NOT NULL,
    debug_id TEXT NOT NULL,
    code_file TEXT NOT NULL,
    -- How many crashes lack its symbols.
    crashes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (debug_file, debug_id)
);
-- Which modules were on the stack of which crash, and whether their symbols would have helped and were not there.
CREATE TABLE stack_modules (
    module INTEGER NOT NULL,
    crash INTEGER NOT NULL,
    is_missing INTEGER NOT NULL,
    PRIMARY KEY (module, crash)
) WITHOUT ROWID;
CREATE INDEX stack_modules_by_crash ON stack_modules (crash, module);
CREATE INDEX stack_modules_that_are_missing ON stack_modules (module) WHERE is_missing;
CREATE TRIGGER missing_module_comes AFTER INSERT ON stack_modules WHEN new.is_missing BEGIN
    UPDATE modules SET crashes = crashes + 1 WHERE id = new.module;
END;
CREATE TRIGGER missing_module_goes AFTER DELETE ON stack_modules WHEN old.is_missing BEGIN
    UPDATE modules SET crashes = crashes - 1 WHERE id = old.module;
END;
-- What searches look through: "text" is the stack, the signature and the annotations that everybody may
-- see; "modules" are all modules that the program had loaded, on the stack or not.
CREATE VIRTUAL TABLE words USING fts5 (text, modules, tokenize = "unicode61 tokenchars '_'");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, instance);
"""
    + tables.TABLES
)

#: The version of the tables and of their content. An index with another version is made anew.
VERSION = zlib.crc32(f"{_CONTENT_VERSION} {TABLES}".encode()) >> 1

#: The tables that are kept when the index is made anew: the notes of people, and the messages of the webhook.
KEPT = ("opinions", "webhook", "announced", "messages")
