"""Analysis → simulation → report: a language model proposes, Directors run, and the report quotes their Outcomes."""
