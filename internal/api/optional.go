package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// optional is a field of a change: absent (leave it), null (back to what it
// inherits) or a value.
type optional[T any] struct {
	set   bool
	null  bool
	value T
}

// UnmarshalJSON is called only when the field is there.
func (o *optional[T]) UnmarshalJSON(text []byte) error {
	o.set = true
	if string(text) == "null" {
		o.null = true
		return nil
	}
	return json.Unmarshal(text, &o.value)
}

// MarshalJSON writes the value or null; one that is absent is left out by omitzero.
func (o optional[T]) MarshalJSON() ([]byte, error) {
	if o.null || !o.set {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// Schema describes it to the OpenAPI document.
func (optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := *huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = true
	return &s
}

// nullable is an object or null.
type nullable[T any] struct{ value *T }

// MarshalJSON writes the object or null.
func (n nullable[T]) MarshalJSON() ([]byte, error) {
	if n.value == nil {
		return []byte("null"), nil // most of a list are
	}
	return json.Marshal(n.value)
}

// Schema describes it to the OpenAPI document.
func (nullable[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{r.Schema(reflect.TypeFor[T](), true, ""), {Type: "null"}}}
}
