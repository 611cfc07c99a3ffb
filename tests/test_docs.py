"""The README cannot drift: commands, settings and files it names exist."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from kb.cli import COMMANDS, group
from kb.settings import SETTINGS

READMES = ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name):
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_readme_names_every_command(root, readme, name):
    assert re.search(rf"`kb {name}\b", (root / readme).read_text(encoding="utf-8"))


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_the_readme_has_every_setting_with_its_default(root, readme, setting):
    text = (root / readme).read_text(encoding="utf-8")
    assert f"| `KB_{setting.name.upper()}` | `{setting.default}` |" in text


@pytest.mark.parametrize("readme", READMES)
def test_files_and_folders_the_readme_links_exist(root, readme):
    text = (root / readme).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    assert [link for link in links if not (root / link).exists()] == []


def test_both_readmes_have_the_same_sections(root):
    counts = [len(re.findall(r"^## ", (root / name).read_text(encoding="utf-8"), re.M)) for name in READMES]
    assert counts[0] == counts[1]
