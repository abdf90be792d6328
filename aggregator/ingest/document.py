"""From bytes to text that a parser may be given: which encoding, where the root element begins, what stands before it.

Everything here takes time linear to the document, whatever the document is. That is its reason: feedparser's own
search for encodings and document types takes minutes on hostile input of a few kilobytes.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

# Encodings that a feed may ask for. Everything else is guessed: utf-7, rot13 and codecs with side effects stay out.
_CODECS = {
    "utf-8": "utf-8",
    "ascii": "windows-1252",
    "iso8859-1": "windows-1252",  # as every browser reads it (WHATWG Encoding §4.2)
    "latin-1": "windows-1252",
    **{f"cp{page}": f"cp{page}" for page in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258, 874, 866, 437, 850)},
    **{f"iso8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
    **dict.fromkeys(("gb2312", "gbk", "gb18030"), "gb18030"),
    **{name: name for name in ("big5", "big5hkscs", "euc_jp", "shift_jis", "cp932", "iso2022_jp", "euc_kr", "cp949")},
    **{name: name for name in ("koi8-r", "koi8-u", "mac-roman", "utf-16", "utf-16-le", "utf-16-be", "utf-32")},
}
_BYTE_ORDER_MARKS = (  # longest first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARATION = re.compile(rb"""^<\?xml\b[^>]{0,400}?\bencoding\s{0,9}=\s{0,9}["']([A-Za-z0-9_.:-]{1,40})["']""")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_CONTROLS = [code for code in range(32) if chr(code) not in "\t\n\r"]
_FORBIDDEN = re.compile(f"[{''.join(map(chr, _CONTROLS))}\ufffe\uffff]")
_FFFE, _FFFF = b"\xef\xbf\xbe", b"\xef\xbf\xbf"
_WHITE = " \t\r\n\ufeff"


@dataclass(frozen=True, slots=True)
class Text:
    """A document decoded. `prolog` is what stood before the root element, `body` the rest, beginning with `<` where the
    document is XML at all. `complaint` names what had to be guessed or dropped, None if nothing."""

    body: str
    prolog: str
    octets: bytes  # `body` in UTF-8
    complaint: str | None = None


def decode(document: bytes, content_type: str | None = None) -> Text:
    """The document as text, by its byte order mark, else its own declaration, else HTTP's charset, else UTF-8.

    HTTP's word is the weakest here, against RFC 7303 §3: servers say iso-8859-1 over documents that know better. Text
    that is valid UTF-8 beyond ASCII is UTF-8 whatever an 8-bit encoding's name says.
    """
    text, complaint, octets = _decoded(document, content_type)
    if _has_forbidden(octets):
        text = _FORBIDDEN.sub("", text)
        octets = _encoded(text)
        complaint = complaint or "control characters that XML forbids"
    start = _root_start(text)
    prolog = text[:start]
    return Text(text[start:], prolog, octets[len(_encoded(prolog)) :], complaint)


def _has_forbidden(octets: bytes) -> bool:
    # One search for each takes less than half of what a pattern takes, and in bytes half of what it takes in text.
    return any(map(octets.__contains__, _CONTROLS)) or (0xEF in octets and (_FFFE in octets or _FFFF in octets))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _decoded(document: bytes, content_type: str | None) -> tuple[str, str | None, bytes]:
    """The text, what had to be guessed, and the text in UTF-8: not a copy where it came so."""
    for mark, name in _BYTE_ORDER_MARKS:
        if document.startswith(mark):
            return _with(name, document.removeprefix(mark) if name == "utf-8" else document)
    if document[:4] in (b"<\x00?\x00", b"<\x00r\x00", b"<\x00f\x00"):
        return _with("utf-16-le", document)
    if document[:4] in (b"\x00<\x00?", b"\x00<\x00r", b"\x00<\x00f"):
        return _with("utf-16-be", document)
    named = _declared(document, content_type)
    if named is None or not named.startswith(("utf-16", "utf-32", "iso2022")):
        try:
            if named in (None, "utf-8") or not document.isascii():
                return document.decode("utf-8"), None, document
        except UnicodeDecodeError:
            pass
    return _with(named or "utf-8", document)


def _declared(document: bytes, content_type: str | None) -> str | None:
    """The Python codec that the document or its header asks for, None where they ask for none that we would use."""
    names = []
    if match := _DECLARATION.match(document[:1024].lstrip()):
        names.append(match[1].decode("ascii"))
    if content_type and (found := _CHARSET.search(content_type[:400])):
        names.append(found[1])
    for name in names:
        try:
            codec = _CODECS.get(codecs.lookup(name).name)
        except (LookupError, ValueError):
            continue
        if codec and not (codec.startswith(("utf-16", "utf-32")) and b"\x00" not in document[:64]):
            return codec
    return None


def _with(codec: str, document: bytes) -> tuple[str, str | None, bytes]:
    try:
        text = document.decode(codec)
        return text, None, document if codec == "utf-8" else _encoded(text)
    except UnicodeDecodeError:
        pass
    if codec != "utf-8":
        text = document.decode(codec, "replace")
        return text, f"not valid {codec}", _encoded(text)
    text = document.decode("utf-8", "replace")
    # A byte or two cut in half, or a Windows document under a wrong name? Count what is whole against what is broken.
    broken = text.count("\ufffd")
    whole = sum(1 for character in text[:100_000] if character > "\x7f") - broken
    if whole < broken:
        text = document.decode("windows-1252", "replace")
    return text, "not valid UTF-8", _encoded(text)


def _root_start(text: str) -> int:
    """Where the root element begins: past white space, declaration, comments, instructions and document type."""
    position, length = 0, len(text)
    while position < length:
        while position < length and text[position] in _WHITE:
            position += 1
        if text.startswith("<?", position):
            end = text.find("?>", position)
            skip = 2
        elif text.startswith("<!--", position):
            end = text.find("-->", position)
            skip = 3
        elif text.startswith("<!", position):
            end, skip = _doctype_end(text, position), 1
        else:
            return position
        if end < 0:
            return position
        position = end + skip
    return position


def _doctype_end(text: str, position: int) -> int:
    """The index of the `>` that closes the document type at `position`, past an internal subset; -1 without one."""
    close = text.find(">", position)
    subset = text.find("[", position, close)
    if subset < 0:
        return close
    end = text.find("]", subset)
    return text.find(">", end) if end >= 0 else -1
