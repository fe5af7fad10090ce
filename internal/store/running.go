package store

import "context"

// RunningInstance is where an instance runs.
type RunningInstance struct{ ID, HostID, ContainerID string }

// RunningInstances returns all that run as far as is known, by host.
func (q queries) RunningInstances(ctx context.Context) ([]RunningInstance, error) {
	return list(ctx, q, "list what runs", func(r row) (v RunningInstance, err error) {
		return v, r.Scan(&v.ID, &v.HostID, &v.ContainerID)
	}, `SELECT id, host_id, container_id FROM instances WHERE status = 'running' AND container_id <> '' ORDER BY host_id, id`)
}
