"""One file in, SourceText out (text, pages, front matter). The only stage that opens documents."""

from kb.read.files import KINDS, kind_of, read_bytes, read_file
from kb.read.limits import Limits

__all__ = ["KINDS", "Limits", "kind_of", "read_bytes", "read_file"]
