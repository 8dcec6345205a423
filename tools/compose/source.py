# SPDX-License-Identifier: BSD-2-Clause
"""A TOML file with the line of every key: tomllib gives values only."""

import re
import tomllib

from .errors import DescriptionError

HEADER = re.compile(r"^\s*(\[\[|\[)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=(.*)$""")
SYNTAX_LINE = re.compile(r"\(at line (\d+), column \d+\)")
# What can stand in a value and hide brackets: strings (three-quoted ones first) and comments.
OPAQUE = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*',
                    re.DOTALL)


def _parts(dotted):
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _is_open(value):
    """Whether a value goes on in the next line: an open bracket or an open three-quoted string."""
    rest = OPAQUE.sub("", value)
    if '"""' in rest or "'''" in rest:
        return True
    return rest.count("[") + rest.count("{") > rest.count("]") + rest.count("}")


def index_lines(text):
    """A dict from a path of keys (with list indices) to the line where it is set, from 1."""
    lines, table, counts = {}, (), {}
    value, key_path = None, None
    for number, line in enumerate(text.split("\n"), 1):
        if value is not None:
            value += "\n" + line
            if not _is_open(value):
                value = None
            continue
        header = HEADER.match(line)
        if header:
            table = _table_path(header.group(1), _parts(header.group(2)), counts)
            lines.setdefault(table, number)
            continue
        key = KEY.match(line)
        if key:
            key_path = table + tuple(_parts(key.group(1)))
            lines.setdefault(key_path, number)
            if _is_open(key.group(2)):
                value = key.group(2)
    return lines


def _table_path(bracket, parts, counts):
    """The path of a header's table: [a.b] below an array of tables a means its last element."""
    path = ()
    for depth, part in enumerate(parts):
        path += (part,)
        if bracket == "[[" and depth == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path += (counts[path],)
    return path


class Document:
    """data: the parsed file; place(path): where a value of it stands."""

    def __init__(self, name, text):
        self.name = name
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = SYNTAX_LINE.search(str(error))
            line = int(found.group(1)) if found else text.count("\n") + 1
            reason = SYNTAX_LINE.sub("", str(error)).strip()
            raise DescriptionError([(name, line, f"this is no TOML: {reason}")]) from error
        self.lines = index_lines(text)
        self.overridden = set()

    @classmethod
    def read(cls, path):
        """Reads a file; its errors are DescriptionErrors too."""
        try:
            with open(path, encoding="utf-8") as file:
                return cls(path, file.read())
        except OSError as error:
            reason = error.strerror
            raise DescriptionError(
                [(path, 0, f"cannot be read ({reason}); name a file like systems/default.toml")]
            ) from error
        except UnicodeDecodeError as error:
            raise DescriptionError([(path, 0, "is no text file (not UTF-8)")]) from error

    def place(self, path):
        """(file, line) of the value, or of the nearest table around it."""
        path = tuple(path)
        while path:
            if path in self.overridden:
                return "--set", 0
            for candidate in (path, path + (0,)):
                if candidate in self.lines:
                    return self.name, self.lines[candidate]
            path = path[:-1]
        return self.name, 1

    def override(self, assignment):
        """--set PATH=VALUE or PATH+=VALUE (appends to a string); elements of arrays go by their name."""
        left, equals, right = assignment.partition("=")
        if not equals:
            raise DescriptionError([("--set", 0, f"'{assignment}' is not of the form KEY=VALUE")])
        append = left.endswith("+")
        parts = left.rstrip("+").strip().split(".")
        try:
            value = tomllib.loads("value = " + right)["value"]
        except tomllib.TOMLDecodeError:
            value = right
        node, path = self.data, ()
        for part in parts[:-1]:
            node, path = self._descend(node, path, part)
        key = parts[-1]
        if not isinstance(node, dict):
            raise DescriptionError([("--set", 0, f"'{'.'.join(parts[:-1])}' is no table")])
        if append:
            value = str(node.get(key, "")) + str(value)
        node[key] = value
        self.overridden.add(path + (key,))

    def _descend(self, node, path, part):
        if isinstance(node, list):
            for index, item in enumerate(node):
                if isinstance(item, dict) and item.get("name") == part:
                    return item, path + (index,)
            raise DescriptionError([("--set", 0, f"there is no {path[-1]} named '{part}'")])
        if not isinstance(node, dict):
            raise DescriptionError([("--set", 0, f"'{'.'.join(map(str, path))}' is no table")])
        return node.setdefault(part, {}), path + (part,)
