"""Pages: a run's report or a comparison as one HTML file that loads nothing, for screen and paper.

Whatever comes from files or devices is escaped where it becomes HTML (`nrt.page.markup`); drawings are inline SVG.
"""

from __future__ import annotations

from nrt.page.comparison import of_comparison
from nrt.page.file import check, save
from nrt.page.run import of_report

__all__ = ["check", "of_comparison", "of_report", "save"]
