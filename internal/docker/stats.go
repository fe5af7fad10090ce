package docker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// statsTimeout: the engine takes two samples a second apart to know a rate.
const statsTimeout = 15 * time.Second

// Stats is one sample.
type Stats struct {
	Time             time.Time
	CPUPercent       float64
	MemoryBytes      int64
	MemoryLimit      int64
	RxBytes, TxBytes int64
	PIDs             int
}

// Stats samples what a container uses; it takes one to two seconds.
func (e *Engine) Stats(ctx context.Context, id string) (Stats, error) {
	return call(ctx, e, "measure container "+id, statsTimeout, func(ctx context.Context, s *session) (Stats, error) {
		got, err := s.cli.ContainerStats(ctx, id, client.ContainerStatsOptions{IncludePreviousSample: true})
		if err != nil {
			return Stats{}, err
		}
		defer func() { _ = got.Body.Close() }() // read, or its error is told
		var sample container.StatsResponse
		if err := json.NewDecoder(got.Body).Decode(&sample); err != nil {
			return Stats{}, err
		}
		return toStats(sample), nil
	})
}

func toStats(in container.StatsResponse) Stats {
	out := Stats{
		Time:        in.Read.UTC(),
		CPUPercent:  cpuPercent(in),
		MemoryBytes: memoryInUse(in.MemoryStats),
		MemoryLimit: int64(in.MemoryStats.Limit),
		PIDs:        int(in.PidsStats.Current),
	}
	if out.Time.Year() <= 1 {
		out.Time = time.Time{} // it does not run
	}
	for _, n := range in.Networks {
		out.RxBytes += int64(n.RxBytes)
		out.TxBytes += int64(n.TxBytes)
	}
	return out
}

// cpuPercent is 100 for one core kept busy.
func cpuPercent(in container.StatsResponse) float64 {
	used := float64(in.CPUStats.CPUUsage.TotalUsage) - float64(in.PreCPUStats.CPUUsage.TotalUsage)
	whole := float64(in.CPUStats.SystemUsage) - float64(in.PreCPUStats.SystemUsage)
	if used <= 0 || whole <= 0 {
		return 0
	}
	cores := float64(in.CPUStats.OnlineCPUs)
	if cores == 0 {
		cores = float64(max(1, len(in.CPUStats.CPUUsage.PercpuUsage)))
	}
	return used / whole * cores * 100
}

// memoryInUse leaves out file cache that the kernel can take back (cgroup v1 and v2 name it differently).
func memoryInUse(m container.MemoryStats) int64 {
	cache, ok := m.Stats["total_inactive_file"]
	if !ok {
		cache = m.Stats["inactive_file"]
	}
	if cache > m.Usage {
		return int64(m.Usage)
	}
	return int64(m.Usage - cache)
}
