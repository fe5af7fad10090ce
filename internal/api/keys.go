package api

import (
	"context"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type rotateIn struct {
	Body struct {
		Forget bool `json:"forget,omitempty" doc:"do not keep the old key aside: backups made before can then not be read without a copy of it"`
	}
}

type rotationJSON struct {
	Resealed int    `json:"resealed" doc:"how many values were sealed anew"`
	Former   string `json:"former_key,omitempty" doc:"the file in the data folder that holds the old key now, which backups made before need; absent when it was forgotten"`
}

// rotateKeys seals everything that is sealed under a new key. Nothing else is written meanwhile.
func (s *server) rotateKeys(ctx context.Context, in *rotateIn) (*out[rotationJSON], error) {
	v := visitOf(ctx)
	acting, cancel := s.beyondCaller(ctx, backupTimeout) // once begun it is ended
	defer cancel()
	done, err := s.d.DB.RotateKey(acting, in.Body.Forget, func(tx *store.Tx, r store.Rotation) error {
		message := fmt.Sprintf("the key of the store was changed and %d values were sealed anew; backups made before need the old key", r.Resealed)
		if r.Former == "" {
			message += ", which was not kept"
		} else {
			message += ", which is kept in " + r.Former
		}
		return tx.Emit(ctx, store.Event{
			Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceSystem, Kind: "keys.rotated", Actor: actorOf(ctx), Message: message,
			Data: map[string]any{"resealed": r.Resealed, "former_key": r.Former, "addr": v.addr},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("change the key of the store: %w", err)
	}
	return answer(rotationJSON{Resealed: done.Resealed, Former: done.Former}), nil
}
