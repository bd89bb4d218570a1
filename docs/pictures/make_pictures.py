# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the pictures of these pages from the real programs: ``make pictures``. Needs Chromium.

Crashes of a game that does not exist are stored as the collector stores them. The viewer shows them to Chromium, light
and dark, and ``bin/show_crash.py`` prints one of them into a page that looks like a terminal. The numbers come from a
generator with a fixed seed, so that pictures differ only where the programs do; ids and days are those of now.
"""

import html
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import pack

ROOT = Path(__file__).resolve().parents[2]
PICTURES = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from antenna.symbols import Store  # noqa: E402 - found by the line above
from tests.support.minidumps import samples  # noqa: E402 - as above
from tests.support.minidumps.builder import DumpBuilder, ModuleSpec, ThreadSpec, elf_build_id  # noqa: E402 - as above
from tests.support.minidumps.contexts import context  # noqa: E402 - as above
from tests.support.programs import free_port  # noqa: E402 - as above
from tests.support.viewer import StoredCrashes, viewer_environment  # noqa: E402 - as above

PRODUCT = "Starfarer"
BUILD_ID = bytes(range(1, 21))
DEBUG_ID = "0403020106050807090A0B0C0D0E0F100"
BASE, STACK = 0x40_0000, 0x6000_0000
# Bytes between two functions, and from a function to the instruction that calls the next one.
SIZE, CALL = 0x100, 0x20

FUNCTIONS = {
    "main": "src/main.cpp",
    "Game::run()": "src/game.cpp",
    "Game::update(float)": "src/game.cpp",
    "World::tick(float)": "src/world.cpp",
    "World::spawn(EntityKind)": "src/world.cpp",
    "Physics::step(float)": "src/physics.cpp",
    "Physics::collide(Body&, Body&)": "src/physics.cpp",
    "Renderer::frame()": "src/render/renderer.cpp",
    "Renderer::upload(Mesh const&)": "src/render/mesh.cpp",
    "TextureCache::find(std::string const&)": "src/render/textures.cpp",
    "Mixer::mix(short*, int)": "src/audio/mixer.cpp",
    "SaveGame::read(std::istream&)": "src/save.cpp",
    "Net::receive(Packet&)": "src/net.cpp",
}

VERSIONS = {"2.3.0": 3, "2.4.0": 5, "2.4.1": 8}
DAYS = 14

#: The stack of each kind of crash, innermost function first; crashes a day; for how many days they have come; growth.
KINDS = (
    (("TextureCache::find(std::string const&)", "Renderer::upload(Mesh const&)", "Renderer::frame()"), 8, DAYS, 0.0),
    (("Physics::collide(Body&, Body&)", "Physics::step(float)", "World::tick(float)"), 5, DAYS, 0.5),
    (("World::spawn(EntityKind)", "World::tick(float)"), 3, DAYS, -0.4),
    (("Mixer::mix(short*, int)",), 2, DAYS, 0.0),
    (("SaveGame::read(std::istream&)",), 2, DAYS, 0.2),
    (("Net::receive(Packet&)",), 2, 4, 0.0),
)


def symbols() -> str:
    """Return a Breakpad symbol file in which each frame takes 16 bytes of the stack."""
    files = sorted(set(FUNCTIONS.values()))
    lines = [f"MODULE Linux x86_64 {DEBUG_ID} starfarer", f"INFO CODE_ID {BUILD_ID.hex().upper()}"]
    lines += [f"FILE {number} {file}" for number, file in enumerate(files)]
    for number, (function, file) in enumerate(FUNCTIONS.items(), start=1):
        lines += [f"FUNC {number * SIZE:x} {SIZE:x} 0 {function}"]
        lines += [f"{number * SIZE:x} {SIZE:x} {40 + 17 * number} {files.index(file)}"]
    lines += [f"STACK CFI INIT {SIZE:x} {SIZE * len(FUNCTIONS):x} .cfa: $rsp 16 + .ra: .cfa -8 + ^"]
    return "\n".join(lines) + "\n"


def minidump(functions: tuple[str, ...], address: int) -> bytes:
    """Return the minidump of a crash in the first of these functions; the main loop has called the last one."""
    names = list(FUNCTIONS)
    stack_of = [*functions, "Game::update(float)", "Game::run()", "main"]
    instructions = [BASE + (names.index(name) + 1) * SIZE + CALL for name in stack_of]
    words = [word for instruction in instructions[1:] for word in (0, instruction)] + [0] * 32
    stack = pack(f"<{len(words)}Q", *words)
    registers = context("amd64", {"rip": instructions[0], "rsp": STACK, "rbp": 0, "rax": address})
    builder = DumpBuilder(time=int(time.time()))
    builder.system("Linux", "amd64", (0, 0, 0), samples.LINUX.version_name)
    builder.exception(1, 11, 1, address, (), context=registers)
    builder.threads([ThreadSpec(1, registers, STACK, stack, "main")])
    builder.modules([ModuleSpec(BASE, 0x10000, "/opt/starfarer/starfarer", elf_build_id(BUILD_ID))])
    builder.memory([(STACK, stack)])
    return builder.build()


def store_crashes(crashes: StoredCrashes) -> str:
    """Store the crashes of two weeks; return the id of one of today."""
    generator = random.Random(7)
    shown = ""
    for functions, a_day, days, growth in KINDS:
        for days_ago in range(days):
            expected = a_day * (1 + growth * (1 - days_ago / (DAYS / 2)))
            for _ in range(round(expected * generator.uniform(0.7, 1.3))):
                crash_id = crashes.add(
                    {
                        "ProductName": PRODUCT,
                        "Version": generator.choices(list(VERSIONS), list(VERSIONS.values()))[0],
                        "ReleaseChannel": generator.choices(("release", "beta"), (4, 1))[0],
                        "BuildID": f"{datetime.now(UTC) - timedelta(days=20):%Y%m%d}090000",
                        "gpu_vendor": generator.choice(("0x10de", "0x1002", "0x8086")),
                    },
                    minidump(functions, generator.choice((0x10, 0x18, 0x7F3A_0000_1240))),
                    days_ago=days_ago,
                )
                shown = shown or crash_id
    return shown


@contextmanager
def viewer(environment: dict[str, str]) -> Iterator[str]:
    """Run the viewer as ``make viewer`` does, and yield its URL once it has read all crashes."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([ROOT / "bin" / "run_viewer.sh"], env=environment | {"VIEWER_PORT": str(port)})  # noqa: S603 - our own
    try:
        count = len(list(Path(environment["CRASHMOVER_CRASHSTORAGE_FS_ROOT"]).glob("v1/raw_crash/*/*")))
        deadline = time.monotonic() + 300
        while f"{count:,}, with " not in text_of(f"{url}/status"):
            if time.monotonic() > deadline:
                raise AssertionError(f"the viewer has not read {count} crashes:\n{text_of(f'{url}/status')}")
            time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def text_of(url: str) -> str:
    """Return a page; nothing as long as nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own viewer
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return ""


def take(url: str, name: str, profile: Path, size: str, *, dark: bool = False) -> None:
    """Let Chromium look at a page, and keep the picture."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("needs Chromium: Debian has it in the package chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    options += ["--force-dark-mode"] if dark else []
    file = PICTURES / name
    command = [chromium, *options, f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={file}", url]
    subprocess.run(command, check=True, capture_output=True, timeout=90)  # noqa: S603 - a fixed command
    sys.stdout.write(f"{file.relative_to(ROOT)}: {file.stat().st_size // 1024} kB\n")


def terminal(command: str, output: str) -> str:
    """Return a page that shows a command and its output as a terminal does."""
    return f"""<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #14181d; color: #d7dde3; font: 15px/1.45 "DejaVu Sans Mono", monospace; }}
pre {{ margin: 0; padding: 18px 22px; font: inherit; }} b {{ color: #7ad07a; }} i {{ color: #fff; font-style: normal; }}
</style><pre><b>$</b> <i>{html.escape(command)}</i>
{html.escape(output)}</pre>"""


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        symbol_file = directory / "starfarer.sym"
        symbol_file.write_text(symbols(), encoding="utf-8")
        Store(directory / "crashes" / "symbols").add(symbol_file)
        crash_id = store_crashes(StoredCrashes(directory / "crashes"))
        environment = os.environ | viewer_environment(directory) | {"VIEWER_SCAN_DAYS": str(DAYS)}
        with viewer(environment) as url:
            for scheme in ("light", "dark"):
                profile = directory / scheme
                dark = scheme == "dark"
                take(f"{url}/", f"viewer-{scheme}.png", profile, "1180,720", dark=dark)
                take(f"{url}/report/{crash_id}", f"report-{scheme}.png", profile, "1180,820", dark=dark)
        command = [str(ROOT / "bin" / "show_crash.py"), crash_id]
        shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 - our own
        page = directory / "terminal.html"
        page.write_text(terminal("bin/show_crash.py latest", shown.stdout), encoding="utf-8")
        take(page.as_uri(), "terminal.png", directory / "terminal", "1180,520")


if __name__ == "__main__":
    main()
