// Package report writes what was found for those who read it: a table for people, JSON for programs, CSV for spreadsheets,
// SARIF and JUnit for pipelines, Markdown for tickets, and one HTML page with a picture of who gets in how.
//
// All formats say the same. What could not be read is part of a report (Source), so that an incomplete one never looks
// complete: every format names what is missing, and Code gives it an exit code of its own. The same report is written in
// the same bytes, so that two runs can be compared.
//
// Names in a report come from clusters and files, and are not trusted: a table quotes what could move a terminal's
// cursor, CSV disarms what a spreadsheet would take for a formula (CWE-1236), HTML and XML are escaped, and the page may
// load nothing and run nothing.
package report
