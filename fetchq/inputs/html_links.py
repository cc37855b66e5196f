"""Finds the links in HTML, piece by piece, in bounded memory and linear time, however broken it is.

The states are those of the tokenizer in the HTML standard (WHATWG, 13.2.5), as far as they tell where tags, attributes
and their values begin and end. For some pages, html.parser of the standard library takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import unescape
from html.entities import html5

from fetchq.inputs.splitting import MAX_ROW, TRUNCATED

__all__ = ["LinkScanner"]

_LINKS = frozenset({"href", "src", "poster", "cite", "background"})
"""The attributes whose value is a link, in every element."""
_LINKS_OF = {"object": "data", "img": "longdesc"}
"""The elements that have another one."""
_IMAGE_SETS = frozenset({"srcset", "imagesrcset"})
"""The attributes with images for several kinds of screens."""
_ONLY_HOSTS = frozenset({"preconnect", "dns-prefetch"})
"""Values of `rel` with which a link stands for its host alone."""
_READ = _LINKS | _IMAGE_SETS | {*_LINKS_OF.values(), "rel"}
_WITHOUT_TAGS = frozenset({"script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title"})
"""Elements whose content is text, in which nothing is a tag but their end."""

_OPENING = re.compile(r"<(?:!(--)|(/?)[A-Za-z]|[!?/])")
"""What begins a comment, a tag, or what the standard calls a bogus comment."""
_LONGEST_OPENING = 4
_COMMENT_END = re.compile(r"--!?>")
_TAG_END = re.compile(r">")
_NEVER = re.compile(r"(?!)")
_CONTENT_END = {name: re.compile(rf"(?=</{name}[\s/>])", re.IGNORECASE) for name in _WITHOUT_TAGS}
_LONGEST_END = 11
"""The most characters of these ends that may have arrived without the last one."""
_TAG_NAME = re.compile(r"[^\s/>]*+")
_BETWEEN = re.compile(r"[\s/]*+")
_ATTRIBUTE_NAME = re.compile(r"[^\s/>=]*+")
_BLANKS = re.compile(r"\s*+")
_UNQUOTED = re.compile(r"[^\s>]*+")
_IN_QUOTES = {'"': re.compile(r'[^"]*+'), "'": re.compile(r"[^']*+")}
_REFERENCE = re.compile(
    r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|([A-Za-z][A-Za-z0-9]{1,31}(?:;|(?![=A-Za-z0-9;]))))"
)
"""A character reference in an attribute, where `&copy=` is none (WHATWG, 13.2.5.73)."""
_CANDIDATE = re.compile(r"[\s,]*+(\S++)")


class _Text:
    """The text that has arrived, up to where it was read."""

    def __init__(self, line: int) -> None:
        self.line = line
        self._text = ""
        self.at = 0

    def add(self, text: str) -> None:
        self._text = self._text[self.at :] + text
        self.at = 0

    def __len__(self) -> int:
        """How many characters are left."""
        return len(self._text) - self.at

    @property
    def next(self) -> str:
        return self._text[self.at]

    def take(self, count: int) -> str:
        """Consume so many characters, and return them."""
        taken = self._text[self.at : self.at + count]
        self.line += taken.count("\n")
        self.at += len(taken)
        return taken

    def take_run(self, pattern: re.Pattern[str]) -> str:
        """Consume and return what matches here."""
        found = self.match(pattern)
        return self.take(0 if found is None else found.end() - found.start())

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return pattern.match(self._text, self.at)

    def search(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return pattern.search(self._text, self.at)


class LinkScanner:
    """Reads HTML, and yields its links, each with the line of its tag."""

    def __init__(self, line: int = 1) -> None:
        """`line`: the number of the first line."""
        self.base: str | None = None
        """The link of the first `base` element, as it is written."""
        self._text = _Text(line)
        self._state = self._between_tags
        self._links: list[str] = []
        self._end, self._longest_end = _NEVER, 0
        """What ends the text that is being skipped."""
        self._tag_line = line
        self._closing = False
        # The tag that is being read: its element, and the name and the value of its attribute.
        self._element = self._name = self._value = self._quote = ""
        self._attributes: dict[str, str] = {}

    @property
    def line(self) -> int:
        """The line up to which the text was read."""
        return self._text.line

    def feed(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield the links of the tags that `text` completes. A tag that never ends has none."""
        self._text.add(text)
        while len(self._text) and self._state():
            for link in self._links:
                yield link, self._tag_line
            self._links = []

    # The states. Each consumes what it can, and sets the next one. It returns False if it needs more text.

    def _between_tags(self) -> bool:
        text = self._text
        found = text.search(_OPENING)
        text.take(max(0, len(text) - _LONGEST_OPENING + 1) if found is None else found.start() - text.at)
        if found is None or len(text) < _LONGEST_OPENING:
            return False
        if found[1]:
            text.take(2)  # not the dashes, since <!--> ends at once
            self._skip_until(_COMMENT_END, 3)
        elif found[2] is None:
            text.take(len(found[0]))
            self._skip_until(_TAG_END, 0)
        else:
            self._tag_line, self._closing = text.line, bool(found[2])
            self._element, self._attributes = "", {}
            text.take(len(found[0]) - 1)
            self._state = self._in_tag_name
        return True

    def _skip_until(self, end: re.Pattern[str], longest: int) -> None:
        self._end, self._longest_end = end, longest
        self._state = self._skipping

    def _skipping(self) -> bool:
        found = self._text.search(self._end)
        if found is None:
            self._text.take(max(0, len(self._text) - self._longest_end))
            return False
        self._text.take(found.end() - self._text.at)
        self._state = self._between_tags
        return True

    def _in_tag_name(self) -> bool:
        self._element = _longer(self._element, self._text.take_run(_TAG_NAME))
        if len(self._text):
            self._element = self._element.lower()
            self._state = self._between_attributes
        return True

    def _between_attributes(self) -> bool:
        self._text.take_run(_BETWEEN)
        if not len(self._text):
            return False
        first = self._text.take(1)
        if first == ">":
            self._end_tag()
        else:
            self._name = first  # even if it is an =
            self._state = self._in_attribute_name
        return True

    def _in_attribute_name(self) -> bool:
        self._name = _longer(self._name, self._text.take_run(_ATTRIBUTE_NAME))
        if len(self._text):
            self._state = self._after_attribute_name
        return True

    def _after_attribute_name(self) -> bool:
        self._text.take_run(_BLANKS)
        if not len(self._text):
            return False
        self._value = ""
        if self._text.next == "=":
            self._text.take(1)
            self._state = self._before_value
        else:
            self._end_attribute()
        return True

    def _before_value(self) -> bool:
        self._text.take_run(_BLANKS)
        if not len(self._text):
            return False
        if self._text.next in _IN_QUOTES:
            self._quote = self._text.take(1)
            self._state = self._in_quotes
        else:
            self._state = self._in_unquoted_value
        return True

    def _in_quotes(self) -> bool:
        self._value = _longer(self._value, self._text.take_run(_IN_QUOTES[self._quote]))
        if len(self._text):
            self._text.take(1)
            self._end_attribute()
        return True

    def _in_unquoted_value(self) -> bool:
        self._value = _longer(self._value, self._text.take_run(_UNQUOTED))
        if len(self._text):
            self._end_attribute()
        return True

    def _end_attribute(self) -> None:
        name = self._name.lower()
        if name in _READ:
            self._attributes.setdefault(name, self._value)  # of two with the same name, the first counts
        self._state = self._between_attributes

    def _end_tag(self) -> None:
        self._state = self._between_tags
        if self._closing:
            return
        if self._element in _CONTENT_END:
            self._skip_until(_CONTENT_END[self._element], _LONGEST_END)
        elif self._element == "plaintext":
            self._skip_until(_NEVER, 0)
        if self._element == "base":
            if self.base is None and "href" in self._attributes:
                self.base = _decoded(self._attributes["href"])
            return
        self._links = list(_links_of(self._element, self._attributes))


def _longer(text: str, more: str) -> str:
    """Both texts together; of one that is longer than a row may be, the beginning, with `TRUNCATED` at its end."""
    if text.endswith(TRUNCATED):
        return text
    return text + more if len(text) + len(more) <= MAX_ROW else (text + more)[:1024] + TRUNCATED


def _links_of(element: str, attributes: Mapping[str, str]) -> Iterator[str]:
    """The links in a start tag, in the order of its attributes."""
    if not _ONLY_HOSTS.isdisjoint(attributes.get("rel", "").lower().split()):
        return
    for name, value in attributes.items():
        if name in _IMAGE_SETS:
            yield from _candidates(_decoded(value))
        elif name in _LINKS or _LINKS_OF.get(element) == name:
            yield _decoded(value)


def _decoded(value: str) -> str:
    """The value of an attribute, with the characters that its references stand for."""
    return _REFERENCE.sub(_character, value) if "&" in value else value


def _character(reference: re.Match[str]) -> str:
    name = reference[1]
    return unescape(reference[0]) if name is None else html5.get(name, reference[0])


def _candidates(value: str) -> Iterator[str]:
    """The images of a `srcset` (WHATWG, 4.8.4.3.5)."""
    at = 0
    while (found := _CANDIDATE.match(value, at)) is not None:
        link = found[1].rstrip(",")
        if link:
            yield link
        # A comma at its end ends the candidate; else the next comma does, after its descriptors.
        at = found.end() if found[1].endswith(",") else value.find(",", found.end()) + 1
        if not at:
            return
