package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// Told is work of which the event log says that it fails or is late, and not yet that it is well again.
type Told struct {
	Name   string `json:"name"`
	HostID string `json:"host_id,omitempty"` // empty: it is on no host
}

// Told reads what SaveTold kept.
func (q queries) Told(ctx context.Context) ([]Told, error) {
	known, err := q.meta(ctx)
	if err != nil || known[metaTold] == "" {
		return nil, err
	}
	var all []Told
	if err := json.Unmarshal([]byte(known[metaTold]), &all); err != nil {
		return nil, fmt.Errorf("read which troubles were told: %w: %w", ErrUnreadable, err)
	}
	return all, nil
}

// SaveTold keeps of what somebody was told, in the transaction of the event that tells it.
func (tx *Tx) SaveTold(ctx context.Context, all []Told) error {
	text, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("write which troubles were told: %w", err)
	}
	_, err = tx.exec(ctx, "write which troubles were told",
		`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, metaTold, string(text))
	return err
}
