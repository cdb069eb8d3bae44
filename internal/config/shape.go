package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// shapeChecker compares decoded YAML with the Go type that it is for and notes every difference. The JSON decoders stop
// at the first wrong type, so an operator would meet their mistakes one by one.
type shapeChecker struct{ mistakes field.ErrorList }

// value returns v without what does not fit t: null stands in for a wrong value, unknown fields are left out.
func (s *shapeChecker) value(p *field.Path, v any, t reflect.Type, depth int) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v == nil {
		s.mistakes = append(s.mistakes, field.TypeInvalid(p, nil,
			"has no value; give it one (an empty section is written {}), or remove it"))
		return nil
	}
	if depth > maxDepth {
		s.mistakes = append(s.mistakes, field.TypeInvalid(p, nil, "is nested too deep"))
		return nil
	}
	switch {
	case t == reflect.TypeFor[Duration]():
		return s.duration(p, v)
	case t == reflect.TypeFor[RawObject]():
		if _, ok := v.(map[string]any); !ok {
			return s.wrong(p, v, "must be an object")
		}
		return v
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.object(p, v, t, depth)
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return s.wrong(p, v, "must be a list")
		}
		for i := range list {
			list[i] = s.value(p.Index(i), list[i], t.Elem(), depth+1)
		}
		return list
	case reflect.Map:
		object, ok := v.(map[string]any)
		if !ok {
			return s.wrong(p, v, "must be a mapping")
		}
		for key := range object {
			object[key] = s.value(p.Key(key), object[key], t.Elem(), depth+1)
		}
		return object
	case reflect.String:
		if _, ok := v.(string); !ok {
			return s.wrong(p, v, "must be a string; put it in quotes")
		}
		return v
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			return s.wrong(p, v, "must be true or false, without quotes")
		}
		return v
	case reflect.Int:
		number, ok := v.(json.Number)
		if !ok {
			return s.wrong(p, v, "must be a whole number, without quotes")
		}
		if _, err := number.Int64(); err != nil {
			return s.wrong(p, number.String(), "must be a whole number")
		}
		return v
	default:
		// A field of a kind that this function does not know would slip through unchecked.
		return s.wrong(p, v, fmt.Sprintf("cannot be decoded: fields of type %s are not supported", t))
	}
}

// wrong notes a value of the wrong type and returns null in its place. Of lists and mappings it says only that they were
// found: their content may be long.
func (s *shapeChecker) wrong(p *field.Path, v any, detail string) any {
	switch v.(type) {
	case []any, map[string]any:
		v = field.OmitValueType{}
	}
	s.mistakes = append(s.mistakes, field.TypeInvalid(p, v, detail))
	return nil
}

func (s *shapeChecker) duration(p *field.Path, v any) any {
	text, ok := v.(string)
	if !ok {
		return s.wrong(p, v, `must be a duration in quotes, such as "30s", "24h" or "1h30m"`)
	}
	if _, err := time.ParseDuration(text); err != nil {
		return s.wrong(p, text, `must be a duration such as "30s", "24h" or "1h30m"; units are ns, us, ms, s, m and h`)
	}
	return text
}

func (s *shapeChecker) object(p *field.Path, v any, t reflect.Type, depth int) any {
	object, ok := v.(map[string]any)
	if !ok {
		return s.wrong(p, v, "must be a mapping of fields")
	}
	known := fieldTypes(t)
	for _, name := range sortedKeys(object) {
		fieldType, ok := known[name]
		if !ok {
			s.mistakes = append(s.mistakes, field.Forbidden(p.Child(name), "unknown field; "+suggest(name, sortedKeys(known))))
			delete(object, name)
			continue
		}
		object[name] = s.value(p.Child(name), object[name], fieldType, depth+1)
	}
	return object
}

// fieldTypes maps the JSON names of t's fields, embedded ones included, to their types.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" {
			types[name] = f.Type
		}
	}
	return types
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// suggest says which known name was probably meant, or which ones there are.
func suggest(name string, known []string) string {
	for _, candidate := range known {
		if strings.EqualFold(candidate, name) || distance(candidate, name) <= 2 {
			return fmt.Sprintf("did you mean %q?", candidate)
		}
	}
	return "known here: " + strings.Join(known, ", ")
}

// maxSuggestLength keeps the quadratic comparison away from names that nobody mistyped.
const maxSuggestLength = 64

// distance is the number of single-character edits between two names (Levenshtein).
func distance(a, b string) int {
	if len(a) > maxSuggestLength || len(b) > maxSuggestLength {
		return maxSuggestLength
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
