"""Old Word, WPS and RTF files: converted with LibreOffice where it is installed, else refused with the next step.

The converter runs in a folder of its own with its own profile, without macros, under a time limit.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from kb.errors import ReadError
from kb.models import Finding, SourceText
from kb.read.limits import Limits

_SECONDS = 90
_CONVERTERS = ("soffice", "libreoffice")
_ADVICE = "Open it in Word or WPS and save it as DOCX, or install LibreOffice so that kb can convert it."


def read_doc(data: bytes, where: str, limits: Limits) -> SourceText:
    """Text of a DOC, WPS or RTF file by way of DOCX.

    Raises:
        ReadError: no converter, the conversion failed or took too long, or the file holds no document.
    """
    from kb.read.word import read_docx

    program = next((found for name in _CONVERTERS if (found := shutil.which(name))), None)
    if program is None:
        raise ReadError(f"{where}: an old Word, WPS or RTF file", hint=_ADVICE)
    suffix = ".rtf" if data.startswith(b"{\\rtf") else ".doc"
    with tempfile.TemporaryDirectory(prefix="kb-convert-") as folder:
        source = Path(folder) / f"input{suffix}"
        source.write_bytes(data)
        command = [
            program,
            f"-env:UserInstallation=file://{folder}/profile",
            "--headless",
            "--norestore",
            "--nologo",
            "--convert-to",
            "docx:MS Word 2007 XML",
            "--outdir",
            folder,
            str(source),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL)
        except (subprocess.TimeoutExpired, OSError) as error:
            raise ReadError(
                f"{where}: LibreOffice did not convert it ({type(error).__name__})", hint=_ADVICE
            ) from error
        target = Path(folder) / "input.docx"
        if not target.is_file() or target.stat().st_size > limits.max_bytes:
            reason = done.stderr.decode("utf-8", "replace").strip()[:120] or f"exit {done.returncode}"
            raise ReadError(f"{where}: LibreOffice did not convert it ({reason})", hint=_ADVICE)
        source_text = read_docx(target.read_bytes(), where, limits)
    note = Finding(
        "info", where, "converted from an old Word, WPS or RTF file with LibreOffice", "Check numbers and tables."
    )
    return replace(source_text, media="doc", findings=(*source_text.findings, note))
