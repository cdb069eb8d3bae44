package report

// Exit codes of commands that make reports. "Bad" and "could not look" are told apart.
const (
	// CodeDone says that everything was read, and nothing is at or above the chosen severity.
	CodeDone = 0
	// CodeFindings says that there are findings at or above it.
	CodeFindings = 1
	// CodeFailed says that the command was used wrongly, or could not do its work.
	CodeFailed = 2
	// CodeIncomplete says that a source could not be read. Findings win over it, because they are certain.
	CodeIncomplete = 3
)

// Code is the exit code for a report: findings that fail or warn at or above severity, then completeness, which
// incompleteOK leaves out. A gap counts as the latter alone. The severity zero leaves findings out.
func (r *Report) Code(severity Severity, incompleteOK bool) int {
	if severity > 0 {
		for i := range r.Findings {
			if r.Findings[i].State.isBad() && !r.Findings[i].Gap && r.Findings[i].Severity >= severity {
				return CodeFindings
			}
		}
	}
	if !incompleteOK && !r.Complete() {
		return CodeIncomplete
	}
	return CodeDone
}
