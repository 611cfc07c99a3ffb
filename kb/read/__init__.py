"""One file in, SourceText out (text, pages, front matter). The only stage that opens documents."""

from kb.read.files import KINDS, Limits, kind_of, read_file

__all__ = ["KINDS", "Limits", "kind_of", "read_file"]
