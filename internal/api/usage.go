package api

import (
	"context"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

type usageJSON struct {
	Time        moment  `json:"time" doc:"of the sample, by the engine's clock; null: it does not run"`
	CPUPercent  float64 `json:"cpu_percent" doc:"100 is one core kept busy"`
	MemoryBytes int64   `json:"memory_bytes" doc:"without file cache that the kernel can take back"`
	MemoryLimit int64   `json:"memory_limit" doc:"of the container, else of its host"`
	RxBytes     int64   `json:"rx_bytes" doc:"received since it started"`
	TxBytes     int64   `json:"tx_bytes" doc:"sent since it started"`
	PIDs        int     `json:"pids"`
}

// usage answers one sample of what an instance uses; the engine takes a second or two to know a rate.
func (s *server) usage(ctx context.Context, in *ByID) (*out[usageJSON], error) {
	v, err := s.d.DB.Instance(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if v.ContainerID == "" {
		return nil, fmt.Errorf("%s has no container: %w", v.Name, docker.ErrNotFound)
	}
	engine, err := s.engineOf(v)
	if err != nil {
		return nil, err
	}
	u, err := engine.Stats(ctx, v.ContainerID)
	if err != nil {
		return nil, err
	}
	return answer(usageJSON{
		Time: moment(u.Time), CPUPercent: u.CPUPercent, MemoryBytes: u.MemoryBytes, MemoryLimit: u.MemoryLimit,
		RxBytes: u.RxBytes, TxBytes: u.TxBytes, PIDs: u.PIDs,
	}), nil
}
