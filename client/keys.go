package client

import (
	"context"
	"net/http"
)

// KeyRotation is what a change of the key did.
type KeyRotation struct {
	Resealed  int    `json:"resealed"`             // values that were sealed anew
	FormerKey string `json:"former_key,omitempty"` // the file in the data folder that holds the old key now; empty: it was forgotten
}

// RotateKeys has everything that is sealed sealed anew under a new key. With forget the old one, which backups made before
// need, is not kept aside.
func (c *Client) RotateKeys(ctx context.Context, forget bool) (KeyRotation, error) {
	var done KeyRotation
	body := map[string]bool{"forget": forget}
	return done, c.do(ctx, call{method: http.MethodPost, path: "/api/keys/rotate", body: body}, &done)
}
