package config_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestSchemaJudgesAsLoadDoes(t *testing.T) {
	schema := compileSchema(t)
	for _, row := range []struct {
		name     string
		old, new string
		good     bool
	}{
		{name: "example", good: true},
		{name: "inline object", old: "file: authentication-configuration.yaml", new: "configuration: {any: thing}", good: true},
		{name: "unknown field at the top", old: "admin:", new: "bogus: 1\nadmin:"},
		{name: "unknown field inside", old: "tlsServerName: kubernetes", new: "insecureSkipVerify: true"},
		{name: "unknown field beside embedded ones", old: "maxLifetime: 1h", new: "lifetime: 1h"},
		{name: "unknown mechanism", old: "  anonymous:", new: "  webhook: {}\n  anonymous:"},
		{name: "missing field", old: "  server: https://10.0.0.1:6443\n", new: ""},
		{name: "wrong kind", old: "kind: Configuration", new: "kind: Config"},
		{name: "upstream http", old: "https://10.0.0.1:6443", new: "http://10.0.0.1:6443"},
		{name: "number as duration", old: "maxLifetime: 24h", new: "maxLifetime: 24"},
		{name: "duration in days", old: "maxLifetime: 24h", new: "maxLifetime: 1d"},
		{name: "no identity mode", old: "    requestHeader: {certFile: front.crt, keyFile: front.key}", new: "    {}"},
		{name: "both identity modes", old: "    requestHeader: {", new: "    impersonation: {kubeconfig: x}\n    requestHeader: {"},
		{name: "JWT twice", old: "file: authentication-configuration.yaml", new: "file: x\n    configuration: {}"},
		{name: "unknown mechanism in a rule", old: "mechanisms: [jwt]", new: "mechanisms: [oidc]"},
		{name: "no CA files", old: "caFiles: [users-ca.crt]", new: "caFiles: []"},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := configtest.Example()
			if row.old != "" {
				text = strings.Replace(text, row.old, row.new, 1)
				if text == configtest.Example() {
					t.Fatalf("the example does not contain %q", row.old)
				}
			}
			asJSON, err := yaml.YAMLToJSON([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); (err == nil) != row.good {
				t.Errorf("the schema says %v, want good = %v", err, row.good)
			}
		})
	}
}

func TestSchemaAcceptsWhatIsPrinted(t *testing.T) {
	printed, err := json.Marshal(load(t, folder(t)).Configuration())
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(printed)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compileSchema(t).Validate(value); err != nil {
		t.Error(err)
	}
}

// TestSchemaIsComplete compares the schema with the Go types, so that a field added without "make gen" is noticed. It
// also holds every type to a doc comment on each field, which becomes the description.
func TestSchemaIsComplete(t *testing.T) {
	var schema struct {
		Definitions map[string]struct {
			Properties map[string]struct {
				Description string `json:"description"`
				Default     any    `json:"default"`
			} `json:"properties"`
			AdditionalProperties *bool `json:"additionalProperties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(config.Schema()), &schema); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[config.RawObject]() || seen[typ.Name()] {
			return
		}
		seen[typ.Name()] = true
		definition := schema.Definitions[typ.Name()]
		if definition.AdditionalProperties == nil || *definition.AdditionalProperties {
			t.Errorf("%s allows unknown fields", typ.Name())
		}
		var want []string
		for _, field := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			want = append(want, name)
			if definition.Properties[name].Description == "" {
				t.Errorf("%s.%s has no description", typ.Name(), name)
			}
			walk(field.Type)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(definition.Properties))); diff != "" {
			t.Errorf("fields of %s (-type +schema):\n%s", typ.Name(), diff)
		}
	}
	walk(reflect.TypeFor[config.Configuration]())

	limits := schema.Definitions["Limits"].Properties
	for name, want := range map[string]int{
		"connectionsPerSource": config.DefaultConnectionsPerSource,
		"streamsPerConnection": config.DefaultStreamsPerConnection,
		"headerBytes":          config.DefaultHeaderBytes,
	} {
		if got := limits[name].Default; got != float64(want) {
			t.Errorf("the default of %s is %v in the schema and %d in the code", name, got, want)
		}
	}
	if got, want := schema.Definitions["Listen"].Properties["drainTimeout"].Default, config.Duration(config.DefaultDrainTimeout).String(); got != want {
		t.Errorf("the default of drainTimeout is %v in the schema and %s in the code", got, want)
	}
}
