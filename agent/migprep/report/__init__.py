"""The report: one document, and one pure function per format. No clock, no file, no machine."""
