package process

// Restart starts the program anew, as it was started before; its log is truncated. The process that ended stays as it
// is; whoever calls Restart must call Stop on the new one.
func (p *Process) Restart() (*Process, error) { return Start(p.spec) }
