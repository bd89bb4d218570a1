# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads rules files and Python modules, from which rules, products and packages come.

The text of everything that was read is remembered. It shows whether something has changed, it identifies the rules that
decide, and it gives the same rules again while the files are broken.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from antenna.ops.errors import describe_import
from antenna.throttler.import_limit import ImportTooSlow, import_limit
from antenna.throttler.python_modules import ModuleSource, import_from_source
from antenna.throttler.rules_file.reader import MAX_SIZE

#: Seconds that the import of a module may take at a start. Large libraries on a slow disk take some of them.
LONGEST_IMPORT = 20.0

_BYTE_ORDER_MARK = "\ufeff"


@dataclass
class Texts:
    """The texts that were read: files by their paths, and modules by their names."""

    files: dict[str, str] = field(default_factory=dict)
    modules: dict[str, ModuleSource] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the texts in a form that can be kept."""
        return json.dumps(asdict(self)).encode("ascii")

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Return the texts from the kept form.

        Raises ``ValueError``, ``KeyError`` or ``TypeError`` if it is damaged.
        """
        value = json.loads(content)
        modules = {name: ModuleSource(**source) for name, source in value["modules"].items()}
        return cls(dict(value["files"]), modules)

    def digest(self) -> str:
        """Return a hash of all texts. For a single file it is the beginning of what ``sha256sum`` prints."""
        digest = hashlib.sha256()
        for text in [*self.files.values(), *(source.text for source in self.modules.values())]:
            digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def now(self) -> "Texts":
        """Read the same files and modules once more. Returns their texts.

        A file that cannot be read has an empty text.
        """
        files = {path: _text_or_nothing(path) for path in self.files}
        modules = {
            name: ModuleSource(_text_or_nothing(source.path), source.path, source.is_package)
            for name, source in self.modules.items()
        }
        return Texts(files, modules)


class Sources:
    """Reads rules files and imports Python modules. ``texts`` are those that were read."""

    def __init__(
        self, kept: Texts | None = None, imported: set[str] | None = None, longest_import: float = LONGEST_IMPORT
    ) -> None:
        """``kept`` are texts that are used in place of files. ``imported``: see ``import_from_source``.

        ``longest_import`` is in seconds. A module that takes longer is broken.
        """
        self.texts = Texts()
        self._kept = kept or Texts()
        self._imported = set() if imported is None else imported
        self._longest_import = longest_import

    def read_file(self, path: str) -> str:
        """Return the text of a rules file. Raises ``ValueError``."""
        if path not in self.texts.files:
            kept = self._kept.files.get(path)
            self.texts.files[path] = _read_text(path) if kept is None else kept
        return self.texts.files[path].removeprefix(_BYTE_ORDER_MARK)

    def import_object(self, path: str) -> Any:
        """Return the object that a dotted path names. Raises ``ValueError``, whatever the module raises."""
        module_name, _, attribute = path.rpartition(".")
        if not module_name or not attribute:
            raise ValueError("it is not a dotted path")
        try:
            # The modules of an earlier option must not be imported again for this option.
            anew = self._imported if not self.texts.modules else set()
            with import_limit(self._longest_import):
                value, sources = import_from_source(module_name, attribute, self._kept.modules, anew)
        except ImportTooSlow as error:
            raise ValueError(f"the import of {module_name} takes longer than {self._longest_import:g} s") from error
        # The module belongs to the operator. Its import may raise anything, with secrets in the message, and even
        # sys.exit() must not end the collector.
        except (Exception, SystemExit) as error:
            raise ValueError(describe_import(error)) from error
        self._imported |= anew
        self.texts.modules.update(sources)
        return value


def _read_text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(4 * MAX_SIZE)
        return content.decode("utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8") from error


def _text_or_nothing(path: str) -> str:
    try:
        return _read_text(path)
    except ValueError:
        return ""


def kept_texts(content: bytes) -> Texts | None:
    """Return the texts from the kept form, or None if it is damaged."""
    try:
        return Texts.from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
