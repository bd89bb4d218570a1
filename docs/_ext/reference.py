# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Directives that write reference pages from the code, so that these cannot say anything else than it does.

``options``: the options of a component; ``metrics``: the metrics of a namespace; ``reasons``: the reasons with an HTTP
status; ``endings``: the outcomes of requests, or the causes of losses; ``rules``: a rule set; ``names``: a list or
mapping of names; ``programs``: the programs in bin/; ``search_fields`` and ``search_operators``: what searches know.
The role ``value`` writes a number.
Link with ``:envvar:``, ``:metric:`` and ``:reason:``.
"""

import ast
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from antenna.config import describe_options, parse_attribute, parse_class
from antenna.ops.registry import load_metrics
from antenna.refusal import Reason
from antenna.throttler import Result, Rule
from antenna.throttler.rule import WHOLE_CRASH
from antenna.viewer.supersearch.fields import FIELDS, MEANINGS, OPERATORS, Field, Kind

BIN = Path(__file__).resolve().parents[2] / "bin"


class WrittenDirective(SphinxDirective):
    """Parses what its ``lines()`` say as if it stood on the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of the text."""
        return self.parse_text_to_nodes("\n".join(self.lines()))

    def lines(self) -> Iterator[str]:
        """The text, in reStructuredText."""
        raise NotImplementedError


class OptionsDirective(WrittenDirective):
    """``.. options:: antenna.limits.Limits BREAKPAD``: a component and the namespaces that it is in."""

    optional_arguments = 2

    def lines(self) -> Iterator[str]:
        """One entry an option."""
        component, *namespaces = self.arguments
        options = describe_options(parse_class(component), *namespaces)
        if not options:
            yield "No options."
        for option in options:
            default = f"Default: ``{option.default}``" if option.default else "Default: not set"
            yield from (
                f".. envvar:: {option.name}",
                "",
                f"   {plain(option.doc)}",
                "",
                "   Has to be set." if option.default is None else f"   {default}.",
                f"   Expects {plain(option.expected)}.",
                "",
            )


class MetricsDirective(WrittenDirective):
    """``.. metrics:: throttle``: the metrics whose names begin so."""

    def lines(self) -> Iterator[str]:
        """One entry a metric."""
        (prefix,) = self.arguments
        for name, metric in load_metrics().items():
            if name.startswith(prefix):
                yield from (f".. metric:: {name}", "", f"   *{metric.type}.* {code(metric.description)}", "")
                for tag, values in metric.tags.items():
                    yield from (f"   Tag ``{tag}``: {code(values.description)}", "")
                yield from (f"   Prometheus: ``{metric.prometheus_name}``", "")


class ReasonsDirective(WrittenDirective):
    """``.. reasons:: 400``: the reasons that are answered with a status."""

    def lines(self) -> Iterator[str]:
        """One entry a reason."""
        for reason in Reason:
            if str(reason.status) in self.arguments:
                yield from (f".. reason:: {reason.answer}", "", f"   {plain(reason.doc)}", "")


class EndingsDirective(WrittenDirective):
    """``.. endings:: antenna.refusal.Outcome``: the values of a tag, and what each means."""

    def lines(self) -> Iterator[str]:
        """One entry a value."""
        for value in parse_attribute(self.arguments[0]):
            yield from (f"``{value.tag}``", f"   {code(value.doc)}", "")


class RulesDirective(WrittenDirective):
    """``.. rules:: antenna.throttler.MOZILLA_RULES``: a table of the rules in their order."""

    def lines(self) -> Iterator[str]:
        """One row a rule."""
        rules: list[Rule] = parse_attribute(self.arguments[0])
        yield from table(
            [40, 42, 18],
            ("Rule", "Matches", "Result"),
            ((f"``{rule.rule_name}``", describe_condition(rule), describe_result(rule)) for rule in rules),
        )


class NamesDirective(WrittenDirective):
    """``.. names:: antenna.throttler.MOZILLA_PRODUCTS``: a list of names, or a mapping of names to lists."""

    def lines(self) -> Iterator[str]:
        """One item a name."""
        names = parse_attribute(self.arguments[0])
        for name in names:
            values = names[name] if isinstance(names, Mapping) else ()
            yield f"* {name}{': ' if values else ''}{', '.join(f'``{value}``' for value in values)}"


class ProgramsDirective(WrittenDirective):
    """``.. programs::``: every program in bin/ whose docstring has examples, which its --help shows as well."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        """The nodes of the text, a section for each program."""
        return self.parse_text_to_nodes("\n".join(self.lines()), allow_section_headings=True)

    def lines(self) -> Iterator[str]:
        """One section a program."""
        docs = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in BIN.glob("*.py")}
        programs = {
            path.stem: doc for path, doc in sorted(docs.items()) if "Examples:" in doc and not path.name.startswith("_")
        }
        arguments = arguments_of(programs)
        for name, doc in programs.items():
            title = f"bin/{name}.py"
            yield from (title, "=" * len(title), "", *prose(doc))
            for command in arguments[name]:
                yield from describe_command(command)


def arguments_of(programs: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the commands of programs in bin/, with their arguments: see ``program_options``."""
    command = [sys.executable, str(Path(__file__).parent / "program_options.py"), *programs]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)  # noqa: S603 - our own
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def describe_command(command: dict[str, Any]) -> Iterator[str]:
    """Describe the arguments of a program, or of one of its commands, as a definition list."""
    indent = ""
    if command["name"]:
        yield from (f"``{command['name']}``", f"    {sentence(command['help'])}", "")
        indent = "    "
    for argument in command["arguments"]:
        yield from (f"{indent}``{argument['usage']}``", f"{indent}    {sentence(argument['help'])}", "")


def sentence(text: str) -> str:
    """Return the help of an argument as a sentence."""
    text = plain(" ".join(text.split()))
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else "See the description above."


class SearchFieldsDirective(WrittenDirective):
    """``.. search_fields::``: a table of the fields that can be searched."""

    required_arguments = 0

    def lines(self) -> Iterator[str]:
        """One row a field."""
        rows = ((f"``{field.name}``", kind_of(field), describe_field(field)) for field in FIELDS)
        yield from table([28, 22, 50], ("Field", "Kind", "Meaning"), rows)


class SearchOperatorsDirective(WrittenDirective):
    """``.. search_operators::``: a table of the operators of searches, and the kinds of fields that take them."""

    required_arguments = 0

    def lines(self) -> Iterator[str]:
        """One row an operator."""
        rows = (
            (f"``{operator}``" if operator else "*none*", kinds_with(operator), code(meaning))
            for operator, meaning in MEANINGS.items()
        )
        yield from table([15, 35, 50], ("Operator", "Kinds of fields", "What the value of a crash must be"), rows)


def kinds_with(operator: str) -> str:
    """Name the kinds of fields that take an operator."""
    if operator == "__true__":
        return Kind.BOOLEAN.value
    kinds = [kind.value for kind in Kind if operator == "__null__" or operator in OPERATORS[kind]]
    return "all" if len(kinds) == len(Kind) else ", ".join(kinds)


def kind_of(field: Field) -> str:
    """Name the kind of a field."""
    return f"{field.kind.value}, several" if field.is_many else field.kind.value


def describe_field(field: Field) -> str:
    """Say what a field means, and which annotation it comes from."""
    names = ", ".join(f"``{name}``" for name in field.annotations)
    return f"{plain(field.doc)} From {names}." if names else plain(field.doc)


def prose(doc: str) -> Iterator[str]:
    """The text of a docstring; what is indented there stays as it is."""
    for is_indented, lines in groupby(doc.splitlines(), key=lambda line: line.startswith(" ")):
        if is_indented:
            yield from (".. code-block:: text", "", *(f"   {line.strip()}" for line in lines), "")
        else:
            yield from (*map(plain, lines), "")


def value_role(
    _name: str, _rawtext: str, text: str, _lineno: int, _inliner: Inliner, *_: object
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """``:value:`antenna.payload.annotations.MAX_DEPTH```: a number from the code."""
    value = parse_attribute(text)
    return [nodes.Text(f"{value:,g}" if isinstance(value, float) else f"{value:,}")], []


def describe_condition(rule: Rule) -> str:
    """Say which crashes the rule matches: the first line of its condition's docstring."""
    # about: is no link to follow.
    matches = (inspect.getdoc(rule.condition) or "").partition("\n")[0].replace("about:", "about\\:")
    return matches if rule.key == WHOLE_CRASH else f"``{rule.key}``: {matches}"


def describe_result(rule: Rule) -> str:
    """Say what becomes of a crash that the rule matches."""
    if isinstance(rule.result, Result):
        return rule.result.name
    percentage, chosen, otherwise = rule.result
    return f"{percentage:g} % {chosen.name}, the others {otherwise.name}"


def table(widths: list[int], header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """A table; the cells are in reStructuredText."""
    yield from (".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", "")
    for row in (header, *rows):
        for number, cell in enumerate(row):
            yield f"   {' ' if number else '*'} - {cell}"


def plain(text: str) -> str:
    """Escape what has a meaning in reStructuredText: the texts of options and reasons go into messages as well."""
    return re.sub(r"([\\*`|_<:])", r"\\\1", text)


def code(text: str) -> str:
    """The registry's ``one backtick`` is what reStructuredText writes with two."""
    return text.replace("`", "``")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Sphinx calls this."""
    app.add_directive("options", OptionsDirective)
    app.add_directive("metrics", MetricsDirective)
    app.add_directive("reasons", ReasonsDirective)
    app.add_directive("endings", EndingsDirective)
    app.add_directive("rules", RulesDirective)
    app.add_directive("names", NamesDirective)
    app.add_directive("programs", ProgramsDirective)
    app.add_directive("search_fields", SearchFieldsDirective)
    app.add_directive("search_operators", SearchOperatorsDirective)
    app.add_role("value", value_role)
    # A line of the log; "..." stands for what varies in it.
    app.add_generic_role("log", nodes.literal)
    app.add_object_type("metric", "metric", indextemplate="pair: %s; metric")
    app.add_object_type("reason", "reason", indextemplate="pair: %s; reason")
    return {"parallel_read_safe": True}
