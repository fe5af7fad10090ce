package routing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// secrets are what of the options of a row nobody may read: they lie apart from them, sealed.
type secrets struct {
	RequestHeaders  map[int]string    `json:"request_headers,omitempty"` // values, by their place in the list
	ResponseHeaders map[int]string    `json:"response_headers,omitempty"`
	Hashes          map[string]string `json:"basic_auth,omitempty"` // by the names of people
}

// OptionsOf reads the options of a row, its secrets in their places.
func OptionsOf(r store.Route) (o proxy.Options, err error) {
	if err := json.Unmarshal([]byte(r.Options), &o); err != nil {
		return o, fmt.Errorf("read the options of a route: %w", err)
	}
	if r.Secrets == "" {
		return o, nil
	}
	var hidden secrets
	if err := json.Unmarshal([]byte(r.Secrets), &hidden); err != nil {
		return o, fmt.Errorf("read the secrets of a route: %w", err)
	}
	reveal(o.RequestHeaders, hidden.RequestHeaders)
	reveal(o.ResponseHeaders, hidden.ResponseHeaders)
	for i, c := range o.BasicAuth {
		if hash, ok := hidden.Hashes[c.User]; ok {
			o.BasicAuth[i].Hash = hash
		}
	}
	return o, nil
}

// SetOptions has a row keep options, their secrets apart.
func SetOptions(r *store.Route, o proxy.Options) error {
	hidden := secrets{Hashes: map[string]string{}}
	o.RequestHeaders, hidden.RequestHeaders = hide(o.RequestHeaders)
	o.ResponseHeaders, hidden.ResponseHeaders = hide(o.ResponseHeaders)
	o.BasicAuth = slices.Clone(o.BasicAuth)
	for i, c := range o.BasicAuth {
		if c.Hash != "" {
			hidden.Hashes[c.User], o.BasicAuth[i].Hash = c.Hash, ""
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write the options of a route: %w", err)
	}
	r.Options, r.Secrets = string(text), ""
	if len(hidden.RequestHeaders)+len(hidden.ResponseHeaders)+len(hidden.Hashes) == 0 {
		return nil
	}
	if text, err = json.Marshal(hidden); err != nil {
		return fmt.Errorf("write the secrets of a route: %w", err)
	}
	r.Secrets = string(text)
	return nil
}

// hide takes secret values out of headers.
func hide(list []proxy.Header) (shown []proxy.Header, hidden map[int]string) {
	hidden = map[int]string{}
	shown = slices.Clone(list)
	for i, h := range list {
		if h.Secret() {
			hidden[i], shown[i].Value = h.Value, ""
		}
	}
	return shown, hidden
}

func reveal(list []proxy.Header, hidden map[int]string) {
	for i, value := range hidden {
		if i < len(list) {
			list[i].Value = value
		}
	}
}

// SealOptions seals the secrets of rows that were written when they lay among the options. Where there are none it does nothing.
func SealOptions(ctx context.Context, db *store.DB) (sealed int, err error) {
	rows, err := db.RoutesWithOpenSecrets(ctx)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	err = db.Update(ctx, func(tx *store.Tx) error {
		for _, r := range rows {
			o, err := OptionsOf(r)
			if err != nil {
				continue // what cannot be read is told when the table is made
			}
			if err := SetOptions(&r, o); err != nil {
				return err
			}
			if r.Secrets == "" {
				continue
			}
			if err := tx.SealRouteOptions(ctx, r); err != nil {
				return err
			}
			sealed++
		}
		return nil
	})
	return sealed, err
}
