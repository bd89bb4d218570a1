# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The options that the configuration page documents."""

from antenna.config import OptionInfo, describe_options, parse_class
from tests.support.server import PROJECT_ROOT

_PAGE = (PROJECT_ROOT / "docs" / "configuration.rst").read_text(encoding="utf-8")

# The components and their namespaces, as ``.. options::`` on the page names them.
COMPONENTS = [line.split()[2:] for line in _PAGE.splitlines() if line.startswith(".. options::")]

OPTIONS: list[OptionInfo] = [
    option for component, *namespaces in COMPONENTS for option in describe_options(parse_class(component), *namespaces)
]

OPTION_NAMES = {option.name for option in OPTIONS}
