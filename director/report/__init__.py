"""The report of a run: one page that opens anywhere, and shows what ran, where, when and with what result."""

from director.report.of_run import report_outcomes, report_run
from director.report.render import write_report
from director.report.summary import DirectorSummary, RunSummaryInput

__all__ = ["DirectorSummary", "RunSummaryInput", "report_outcomes", "report_run", "write_report"]
