"""The pages of README and docs, without those that a build of the site writes beside them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_MADE = {"_build", "gallery_pages", "generated"}
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(page for page in sorted(DOCS.glob("**/*.md")) if not _MADE & set(page.relative_to(ROOT).parts)),
]
