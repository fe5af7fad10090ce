package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// layout is RFC 3339 in UTC with milliseconds.
const layout = "2006-01-02T15:04:05.000Z"

// stamp is a moment that is always known.
type stamp time.Time

// MarshalJSON writes RFC 3339 in UTC with milliseconds.
func (s stamp) MarshalJSON() ([]byte, error) {
	return time.Time(s).UTC().AppendFormat(make([]byte, 0, len(layout)+2), `"`+layout+`"`), nil
}

// Schema describes it to the OpenAPI document.
func (stamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// moment is null while it is not known or has not come.
type moment time.Time

// MarshalJSON writes RFC 3339 in UTC with milliseconds, or null.
func (m moment) MarshalJSON() ([]byte, error) {
	if time.Time(m).IsZero() {
		return []byte("null"), nil
	}
	return stamp(m).MarshalJSON()
}

// Schema describes it to the OpenAPI document.
func (moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true}
}
