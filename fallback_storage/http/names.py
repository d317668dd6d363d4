"""Names that a server may take for others, or for more than a name."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

# More than any server decodes a name.
DECODINGS: Final = 4
# And what stands for bytes of a local name that are no text.
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def means_another(name: str) -> bool:
    """Whether a server that decodes a name once too often takes it for another path.

    Or whether it holds what ends a line of a request.
    """
    decoded = name
    for _ in range(DECODINGS):
        decoded = unquote(decoded)
    if decoded != unquote(decoded) or CONTROLS.search(decoded):
        return True
    parts = decoded.replace("\\", "/").split("/")
    return decoded != name and (
        len(parts) != name.count("/") + 1 or bool({"", ".", ".."} & set(parts))
    )
