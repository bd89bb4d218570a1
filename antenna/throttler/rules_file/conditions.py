# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The conditions of a rules file: each looks at a part of a crash, and checks its value.

A condition is called like that of any ``Rule`` with the key ``*``, with the throttler and the crash. ``explain`` says
in words what the condition saw.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, Protocol

from antenna.crash import to_text
from antenna.throttler.crash_view import METADATA, CrashView
from antenna.throttler.rule import WHOLE_CRASH

Check = Callable[[Any, Any], bool]
"""A function of the throttler and the value that was found. It is true if the value is what the operator asks for."""

# The index of an item in a JSON list.
_POSITION = re.compile(r"[0-9]{1,6}")

# Characters of a value that an explanation shows. A longer value is cut.
_MAX_SHOWN = 60


class Condition(Protocol):
    """A condition on a crash."""

    def __call__(self, throttler: Any, crash: CrashView) -> bool:
        """Whether the condition is true of this crash."""
        ...

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words what the condition looks at, what it found, and whether it is true."""
        ...


@dataclass(frozen=True)
class Subject:
    """The thing that a condition looks at: its name in the file, and a function that finds its value, or None."""

    name: str
    find: Callable[[CrashView], Any]
    is_annotation: bool = False


def annotation(name: str) -> Subject:
    """Return the subject for an annotation, as text."""
    if name == METADATA:  # the collector's metadata, which has replaced any annotation of that name
        return Subject(name, lambda crash: to_text(crash[name]) if name in crash else None)
    return Subject(name, methodcaller("get", name), is_annotation=True)


def identity(what: str) -> Subject:
    """Return the subject for the product, version and so on of a crash, whatever names its client uses."""
    return Subject(what, lambda crash: crash.identify(what) or None)


def metadata(name: str) -> Subject:
    """Return the subject for a fact about the request, as text."""

    def find(crash: CrashView) -> Any:
        value = crash.get(METADATA)
        return to_text(value[name]) if isinstance(value, dict) and name in value else None

    return Subject(name, find)


def inside(annotation_name: str, path: Sequence[str]) -> Subject:
    """Return the subject for a value inside an annotation with JSON, which keeps its JSON type.

    Null counts as absent.
    """

    def find(crash: CrashView) -> Any:
        value = crash.document(annotation_name)
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and _POSITION.fullmatch(step) and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        return value

    return Subject(f"{annotation_name}:{'.'.join(path)}", find)


class Test:
    """Looks at one subject: whether it is there, and whether all checks of its value hold."""

    __slots__ = ("_check", "_checks", "_find", "_wants_absent", "subject")

    def __init__(
        self, subject: Subject, checks: Sequence[tuple[str, Check]] = (), *, wants_absent: bool = False
    ) -> None:
        """``checks`` are the operators as written in the file, each with its check.

        ``wants_absent``: it must be absent.
        """
        self.subject = subject
        self._find = subject.find
        self._checks = tuple(checks)
        self._check = _all_hold([check for _, check in checks])
        self._wants_absent = wants_absent

    def __call__(self, throttler: Any, crash: CrashView) -> bool:
        """Whether the condition is true of this crash."""
        value = self._find(crash)
        if value is None:
            return self._wants_absent
        return not self._wants_absent and self._check(throttler, value)

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words what was found in this crash, and whether the condition is true."""
        asked = ", ".join(text for text, _ in self._checks) or ("absent" if self._wants_absent else "exists")
        return f"{self.subject.name} {_seen(self._find(crash))}; {asked}: {_word(self(throttler, crash))}"

    def on_value(self) -> "OnValue | None":
        """Return this condition in the form for a rule whose key is the annotation.

        Returns None if that is not possible.
        """
        if self._wants_absent or not self.subject.is_annotation or self.subject.name == WHOLE_CRASH:
            return None
        return OnValue(self, self._check)


class OnValue:
    """The condition of a rule whose key is an annotation. If the annotation is absent, such a rule costs nothing."""

    __slots__ = ("_check", "test")

    def __init__(self, test: Test, check: Check) -> None:
        self.test = test
        self._check = check

    def __call__(self, throttler: Any, value: str) -> bool:
        """Whether the condition is true of an annotation with this value."""
        return self._check(throttler, value)

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words what was found in this crash, and whether the condition is true."""
        return self.test.explain(throttler, crash)


def _all_hold(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check_all(throttler: Any, value: Any) -> bool:
        for check in checks:  # noqa: SIM110 - all() costs twice as much
            if not check(throttler, value):
                return False
        return True

    return check_all


@dataclass(frozen=True, slots=True)
class Listed:
    """True if the product, or the package, of a crash is one of those that the file lists, or if it is not."""

    what: str
    expected: bool

    def __call__(self, throttler: Any, crash: CrashView) -> bool:
        """Whether the condition is true of this crash."""
        product = crash.identify("product")
        if self.what == "product":
            is_listed = not throttler.products or product in throttler.products
            if not is_listed:
                throttler.unlisted.product(product)
        else:
            packages = throttler.product_packagenames.get(product, ())
            package = crash.get("Android_PackageName")
            is_listed = not packages or package in packages
            if not is_listed:
                throttler.unlisted.packagename(product, package)
        return is_listed is self.expected

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words what was found in this crash, and whether the condition is true."""
        seen = crash.get("Android_PackageName") if self.what == "package" else crash.identify("product") or None
        asked = "listed" if self.expected else "not listed"
        return f"{self.what} {_seen(seen)}; {asked}: {_word(self(throttler, crash))}"


@dataclass(frozen=True, slots=True)
class AllOf:
    """True if all of several conditions are true."""

    conditions: tuple[Condition, ...]

    def __call__(self, throttler: Any, crash: CrashView) -> bool:
        """Whether the condition is true of this crash."""
        for condition in self.conditions:  # noqa: SIM110 - all() costs twice as much
            if not condition(throttler, crash):
                return False
        return True

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words what was found in this crash, and whether the condition is true."""
        return f"all of ({_joined(self._looked_at(throttler, crash), throttler, crash)})"

    def _looked_at(self, throttler: Any, crash: CrashView) -> Iterator[Condition]:
        for condition in self.conditions:
            yield condition
            if not condition(throttler, crash):
                return


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True if at least one of several conditions is true."""

    conditions: tuple[Condition, ...]

    def __call__(self, throttler: Any, crash: CrashView) -> bool:
        """Whether the condition is true of this crash."""
        for condition in self.conditions:  # noqa: SIM110 - any() costs twice as much
            if condition(throttler, crash):
                return True
        return False

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words what was found in this crash, and whether the condition is true."""
        return f"any of ({_joined(self.conditions, throttler, crash)})"


@dataclass(frozen=True, slots=True)
class Not:
    """True if another condition is not true."""

    condition: Condition

    def __call__(self, throttler: Any, crash: CrashView) -> bool:
        """Whether the condition is true of this crash."""
        return not self.condition(throttler, crash)

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words what was found in this crash, and whether the condition is true."""
        return f"not ({self.condition.explain(throttler, crash)})"


class Always:
    """True of every crash."""

    def __call__(self, throttler: Any, crash: CrashView) -> bool:
        """Whether the condition is true of this crash."""
        return True

    def explain(self, throttler: Any, crash: CrashView) -> str:
        """Return in words that the condition is true."""
        return "every crash: yes"


def _joined(conditions: Iterable[Condition], throttler: Any, crash: CrashView) -> str:
    return " | ".join(condition.explain(throttler, crash) for condition in conditions)


def _seen(value: object) -> str:
    if value is None:
        return "is absent"
    text = json.dumps(value, ensure_ascii=False)
    return f"is {text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + '...'}"


def _word(is_true: bool) -> str:  # noqa: FBT001 - what it words
    return "yes" if is_true else "no"
