package dockertest

import "net/http"

// serveStats answers with samples of a steady process: 10 % of one CPU, 32 MiB.
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
	if !oneShot && ran > 1e9 {
		before = cpuSample((ran-1e9)/10, (ran-1e9)*2)
	}
	limit := c.memory
	if limit == 0 {
		limit = 24 << 30
	}
	return map[string]any{
		"read": stamp(now), "preread": stamp(now.Add(-1e9)), "name": "/" + c.name, "id": c.ID,
		"pids_stats": map[string]any{"current": 5}, "cpu_stats": cpuSample(ran/10, ran*2), "precpu_stats": before,
		"memory_stats": map[string]any{"usage": int64(32 << 20), "limit": limit, "stats": map[string]any{"cache": 0, "inactive_file": 0, "total_inactive_file": 0}},
		"networks":     map[string]any{"eth0": map[string]any{"rx_bytes": 736, "tx_bytes": 412}},
	}
}

func cpuSample(used, system int64) map[string]any {
	return map[string]any{
		"cpu_usage":        map[string]any{"total_usage": used, "usage_in_kernelmode": used / 2, "usage_in_usermode": used / 2},
		"system_cpu_usage": system, "online_cpus": 2, "throttling_data": map[string]any{},
	}
}
