package store

import "context"

// InstanceRevision tells whether an instance that was read before has changed since.
type InstanceRevision struct {
	ID       string
	Revision int64
	Status   Status
}

// InstanceRevisions returns the revisions of all instances of a host: what is read, in a
// scan of ten thousand, in place of ten thousand whole rows.
func (q queries) InstanceRevisions(ctx context.Context, hostID string) ([]InstanceRevision, error) {
	return list(ctx, q, "list the revisions of the instances of host "+hostID, func(r row) (v InstanceRevision, err error) {
		return v, r.Scan(&v.ID, &v.Revision, &v.Status)
	}, `SELECT id, revision, status FROM instances WHERE host_id = $1`, hostID)
}
