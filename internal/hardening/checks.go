package hardening

// All are the checks, in the order in which they are run and shown. A new one is a file of its own, a line here, and two
// cases in its test: one in which it fires, and one in which it does not.
func All() []Check {
	return []Check{
		an01(),
		bt06(),
		ap01(),
	}
}
