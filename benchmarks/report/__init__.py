"""The report: every system over every link in one run, as a page with plots and as figures for programs."""
