package config

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the JSON schema (draft 2020-12) of the written form, for editors. Load is stricter: it also judges
// what a schema cannot say.
func Schema() string { return schema }
