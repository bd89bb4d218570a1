# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Settings of Sphinx. Build the pages with ``make docs``."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent

# The generated pages import the collector.
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]

project = "Antenna"
author = "the Antenna contributors"

extensions = ["reference"]
exclude_patterns = ["_build"]
# A role or link that leads nowhere is an error.
nitpicky = True
# Names like crash--id and "quotes" in options stay as they are typed.
smartquotes = False

html_theme = "furo"
html_title = "Antenna"
html_static_path = ["_static"]
html_css_files = ["antenna.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
