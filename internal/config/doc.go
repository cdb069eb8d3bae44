// Package config reads what an operator wrote and turns it into what was checked.
//
// Configuration is the written form: one YAML file, strictly decoded. Checked is the other form: parsed values, the
// content of every file that the configuration names, key pairs that match. Load goes from one to the other or returns
// an *InvalidError that lists every mistake at once, each with its path. It only reads: it may be called again at any
// time, and a failed call leaves nothing behind.
//
// What belongs to one mechanism alone is not judged here: the lines of a token file and the issuers of an
// AuthenticationConfiguration are handed on as bytes to the mechanism that owns them.
package config
