package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is a span of time, written as Go writes it: "30s", "24h", "1h30m". The zero value stands for a field that
// was left out.
type Duration time.Duration

// UnmarshalJSON reads the written form; null leaves the value as it is. It does not judge the value: a negative one is
// refused by Load with its path.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("a duration must be a string such as \"30s\": %w", err)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// String leaves out the zero units that time.Duration writes: "24h", not "24h0m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
