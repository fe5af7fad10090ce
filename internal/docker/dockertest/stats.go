package dockertest

import "net/http"

// SetUsage sets what its process uses from now on: CPUs kept busy, and bytes. Without it that is a tenth of one and 32 MiB.
func (c *Container) SetUsage(cpus float64, memory int64) {
	defer c.lock()()
	c.usesCPUs, c.usesMemory = cpus, memory
}

// SetTraffic sets what its process has received, sent, read and written so far, in bytes.
func (c *Container) SetTraffic(rx, tx, read, write int64) {
	defer c.lock()()
	c.traffic = [4]int64{rx, tx, read, write}
}

// serveStats answers with samples of a steady process.
func (e *Engine) serveStats(w http.ResponseWriter, r *request, ref string) {
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	sample := c.sample(r.flag("one-shot"))
	e.mu.Unlock()
	e.answerJSON(w, http.StatusOK, sample)
}

func (c *Container) sample(oneShot bool) map[string]any {
	if !c.processLives() {
		return map[string]any{
			"read": "0001-01-01T00:00:00Z", "preread": "0001-01-01T00:00:00Z", "name": "/" + c.name, "id": c.ID,
			"pids_stats": map[string]any{}, "cpu_stats": cpuSample(0, 0), "precpu_stats": cpuSample(0, 0), "memory_stats": map[string]any{},
		}
	}
	now := c.e.now()
	ran := now.Sub(c.started).Nanoseconds()
	before := cpuSample(0, 0)
	cpus, memory := c.usesCPUs, c.usesMemory
	if cpus == 0 && memory == 0 {
		cpus, memory = 0.1, 32<<20
	}
	used := func(ns int64) int64 { return int64(float64(ns) * cpus) }
	if !oneShot && ran > 1e9 {
		before = cpuSample(used(ran-1e9), (ran-1e9)*2)
	}
	traffic := c.traffic
	if traffic == ([4]int64{}) {
		traffic = [4]int64{736, 412, 4096, 0}
	}
	limit := c.memory
	if limit == 0 {
		limit = 24 << 30
	}
	return map[string]any{
		"read": stamp(now), "preread": stamp(now.Add(-1e9)), "name": "/" + c.name, "id": c.ID,
		"pids_stats": map[string]any{"current": 5}, "cpu_stats": cpuSample(used(ran), ran*2), "precpu_stats": before,
		"memory_stats": map[string]any{"usage": memory, "limit": limit, "stats": map[string]any{"cache": 0, "inactive_file": 0, "total_inactive_file": 0}},
		"networks":     map[string]any{"eth0": map[string]any{"rx_bytes": traffic[0], "tx_bytes": traffic[1]}},
		"blkio_stats": map[string]any{"io_service_bytes_recursive": []any{
			map[string]any{"major": 8, "minor": 0, "op": "Read", "value": traffic[2]}, map[string]any{"major": 8, "minor": 0, "op": "Write", "value": traffic[3]},
		}},
	}
}

func cpuSample(used, system int64) map[string]any {
	return map[string]any{
		"cpu_usage":        map[string]any{"total_usage": used, "usage_in_kernelmode": used / 2, "usage_in_usermode": used / 2},
		"system_cpu_usage": system, "online_cpus": 2, "throttling_data": map[string]any{},
	}
}
