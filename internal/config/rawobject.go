package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// RawObject is a Kubernetes object kept as it was written, as JSON. The zero value holds no object.
type RawObject struct {
	raw []byte
}

// NewRawObject returns the object that value marshals to. It fails where that is not a JSON object.
func NewRawObject(value any) (*RawObject, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding an object for the configuration: %w", err)
	}
	object := &RawObject{}
	if err := object.UnmarshalJSON(data); err != nil || object.raw == nil {
		return nil, fmt.Errorf("encoding an object for the configuration: %T is not an object", value)
	}
	return object, nil
}

// JSON returns the object's bytes, nil for the zero value. They must not be changed.
func (o *RawObject) JSON() []byte { return o.raw }

// UnmarshalJSON keeps a copy of data, which must be a JSON object; null leaves the value as it is.
func (o *RawObject) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(trimmed) {
		return errors.New("must be a JSON object")
	}
	o.raw = bytes.Clone(trimmed)
	return nil
}

// MarshalJSON returns what UnmarshalJSON kept; null for the zero value.
func (o RawObject) MarshalJSON() ([]byte, error) {
	if o.raw == nil {
		return []byte("null"), nil
	}
	return o.raw, nil
}

var (
	_ json.Marshaler   = RawObject{}
	_ json.Unmarshaler = (*RawObject)(nil)
)
