"""What S3 answers to ListObjectsV2, its objects read in one pass; or left to boto3.

boto3 makes a tree of an answer, dictionaries of the tree, and a ``datetime`` of each date.
Here the objects are cut out by one regular expression, and boto3 reads what is left:
where the next page is, and whether all of that is XML.

Nothing is passed over. All of the body has to be what is written down here: the root,
children with plain text, and one run of objects. Of anything else (another root or
namespace, an entity, a comment, an element that nobody knows, half a body) boto3 is the
judge.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

_SPACE: Final = r"[ \t\n]*"
_TEXT: Final = "[^<>&]*"
# XML forbids them. (Of a carriage return it makes something else.)
_ODD: Final = bytes({*range(0x20)} - {*b"\t\n"})


def _element(tag: str, content: str = _TEXT) -> str:
    return f"<{tag}>{content}</{tag}>{_SPACE}"


# What boto3 makes of these nobody here reads, and no text of theirs makes it fail.
_OTHER: Final = [
    *map(_element, ("ChecksumAlgorithm", "ChecksumType", "StorageClass", "Type")),
    *map(_element, ("Generation", "MetaGeneration")),
    _element("Owner", f"{_SPACE}(?:{_element('ID')}|{_element('DisplayName')})*"),
]
_OTHERS: Final = f"(?:{'|'.join(_OTHER)})*"
_QUOTE: Final = '(?:&quot;|&#34;|")?'
_SECOND: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_DATE: Final = _element("LastModified", rf"({_SECOND})(?:\.[0-9]{{1,6}})?Z")

_OBJECT: Final = (
    f"<Contents>{_SPACE}"
    + _element("Key", f"({_TEXT})")
    + f"{_OTHERS}(?:{_DATE})?"
    + _element("ETag", f'{_QUOTE}([^<>&"]*){_QUOTE}')
    + _OTHERS
    + _element("Size", "([0-9]{1,18})")
    # SeaweedFS has it here.
    + f"{_OTHERS}(?(2)|{_DATE})</Contents>{_SPACE}"
)
# What is in there, boto3 reads.
_CHILD: Final = rf"<(?!Contents\b)([A-Za-z]+)(?: ?/>|>[^<]*</\1>){_SPACE}"
_BEFORE: Final = (
    rf'(?:<\?xml version="1\.0" encoding="(?:UTF|utf)-8" ?\?>{_SPACE})?'
    r'<ListBucketResult(?: xmlns="http://s3\.amazonaws\.com/doc/2006-03-01/")?>'
    f"{_SPACE}(?:{_CHILD})*"
)
_AFTER: Final = f"(?:{_CHILD})*</ListBucketResult>{_SPACE}"

# When it is needed: it takes longer than to import the rest of this package.
_compiled = cache(re.compile)


# Key, date, ETag, size, date; one of the dates is None.
Written = tuple[str, str | None, str, str, str | None]
PARTS: Final = 5


def take_out(body: bytes) -> tuple[bytes, list[Written] | None]:
    """Return a body without its objects, and these; or all of the body, and None.

    Keys are as they are written, perhaps URL-encoded; dates are cut to seconds, ETags
    are without their quotes.
    """
    if not body.isascii() or len(body.translate(None, _ODD)) < len(body):
        return body, None
    # What is before the first, then of each its parts, and what is behind it.
    before, *found = _compiled(_OBJECT).split(body.decode())
    between, after = found[PARTS : -1 : PARTS + 1], found[-1] if found else ""
    is_begun = _compiled(_BEFORE).fullmatch(before)
    if any(between) or not (is_begun and _compiled(_AFTER).fullmatch(after)):
        return body, None
    columns = (found[column :: PARTS + 1] for column in range(PARTS))
    return (before + after).encode(), list(zip(*columns, strict=True))
