package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrTaken is an ErrConflict about a container that an instance is already.
var ErrTaken = fmt.Errorf("it belongs to an instance already: %w", ErrConflict)

// Containers returns the full ids of all containers that have a row, on whichever host: two hosts may be one engine.
func (q queries) Containers(ctx context.Context) (map[string]bool, error) {
	ids, err := list(ctx, q, "list the containers that have a row", func(r row) (id string, err error) { return id, r.Scan(&id) },
		`SELECT container_id FROM instances WHERE container_id <> ''`)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(ids))
	for _, id := range ids {
		known[id] = true
	}
	return known, nil
}

// InstanceOfContainer returns the instance that a container is, on whichever host: two hosts may be one engine.
func (q queries) InstanceOfContainer(ctx context.Context, containerID string) (InstanceView, error) {
	return one(ctx, q, "find the instance of container "+containerID, scanView,
		`SELECT `+viewColumns+` FROM instances i`+viewJoins+`
		WHERE i.host_id IN (SELECT id FROM hosts) AND i.container_id = $1 AND i.container_id <> '' ORDER BY i.id LIMIT 1`, clean(containerID))
}

// Adopt adds the row of a container that somebody else made; ErrTaken when it has one. Whether it is on that host, and by
// that full id, is for the caller to know.
func (tx *Tx) Adopt(ctx context.Context, i Instance) error {
	other, err := tx.InstanceOfContainer(ctx, i.ContainerID)
	switch {
	case err == nil:
		return fmt.Errorf("adopt container %s: %s of %s/%s: %w", i.Name, other.Name, other.Project, other.Stage, ErrTaken)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	i.Ownership = OwnershipAdopted
	return tx.InsertInstance(ctx, i)
}

// Unadopt deletes the row of an adopted instance and what was noted of it as a leftover, and nothing else. ErrConflict for one
// that we made, that is being removed or deployed, or that routes lead to.
func (tx *Tx) Unadopt(ctx context.Context, id string) error {
	what := "give back instance " + id
	if err := tx.refuseUsed(ctx, what+": routes lead to it", `SELECT count(*) FROM routes WHERE instance_id = $1`, id); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, what, `DELETE FROM leftovers WHERE instance_id = $1 AND kind IN ($2, $3, $4)`,
		id, string(LeftoverRow), string(LeftoverRemoving), string(LeftoverDead)); err != nil {
		return err
	}
	return tx.execOne(ctx, what, ErrConflict, `DELETE FROM instances WHERE id = $1 AND ownership = $2 AND status NOT IN ($3, $4, $5, $6)`,
		id, string(OwnershipAdopted), string(StatusRemoving), string(StatusPending), string(StatusPulling), string(StatusStarting))
}
