package kubectl

import "runtime/debug"

// softMemory is from where on the garbage collector works harder. It is no bound: what is needed is taken. A large
// cluster's inventory needs less, and without it the collector would leave as much again lying about.
const softMemory = 384 << 20

// saveMemory makes a command that holds a whole cluster hold no more garbage than it must. It is for the whole process,
// which ends with the command.
func saveMemory() { debug.SetMemoryLimit(softMemory) }
