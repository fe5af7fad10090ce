package docker

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// figuresTimeout: the engine reads counters that the kernel keeps; one that takes longer is a gap.
const figuresTimeout = 5 * time.Second

// Figures are what a container used since it started, and what it holds now. What it uses comes of two of them.
type Figures struct {
	Time                  time.Time     // engine's clock; zero: it does not run
	CPU                   time.Duration // of all cores together
	MemoryBytes           int64         // without file cache that the kernel can take back
	MemoryLimit           int64         // of the container, else of its host
	RxBytes, TxBytes      int64
	ReadBytes, WriteBytes int64 // from and to block devices
	PIDs                  int
}

// Figures reads them once. The client's own call decodes ten times as much, twice.
func (e *Engine) Figures(ctx context.Context, id string) (Figures, error) {
	return call(ctx, e, "measure container "+id, figuresTimeout, func(ctx context.Context, s *session) (Figures, error) {
		answer, err := e.get(ctx, s, "/containers/"+url.PathEscape(id)+"/stats", url.Values{"stream": {"false"}, "one-shot": {"true"}}, nil)
		if err != nil {
			return Figures{}, err
		}
		defer func() { _ = answer.Close() }() // read, or its error is told
		var raw rawFigures
		if err := json.NewDecoder(answer).Decode(&raw); err != nil {
			return Figures{}, err
		}
		return raw.figures(), nil
	})
}

// rawFigures is what matters of the engine's answer.
type rawFigures struct {
	Read time.Time `json:"read"`
	CPU  struct {
		Usage struct {
			Total uint64 `json:"total_usage"`
		} `json:"cpu_usage"`
	} `json:"cpu_stats"`
	Memory struct {
		Usage uint64 `json:"usage"`
		Limit uint64 `json:"limit"`
		Stats struct {
			TotalInactiveFile *uint64 `json:"total_inactive_file"`
			InactiveFile      uint64  `json:"inactive_file"`
		} `json:"stats"`
	} `json:"memory_stats"`
	Networks map[string]struct {
		Rx uint64 `json:"rx_bytes"`
		Tx uint64 `json:"tx_bytes"`
	} `json:"networks"`
	Blocks struct {
		Bytes []struct {
			Op    string `json:"op"`
			Value uint64 `json:"value"`
		} `json:"io_service_bytes_recursive"`
	} `json:"blkio_stats"`
	PIDs struct {
		Current uint64 `json:"current"`
	} `json:"pids_stats"`
}

func (r rawFigures) figures() Figures {
	f := Figures{
		Time: r.Read.UTC(), CPU: time.Duration(r.CPU.Usage.Total), MemoryBytes: r.memoryInUse(), //nolint:gosec // a process of 292 years
		MemoryLimit: amount(r.Memory.Limit), PIDs: int(amount(r.PIDs.Current)),
	}
	if f.Time.Year() <= 1 {
		f.Time = time.Time{}
	}
	for _, n := range r.Networks {
		f.RxBytes += amount(n.Rx)
		f.TxBytes += amount(n.Tx)
	}
	for _, b := range r.Blocks.Bytes {
		switch {
		case strings.EqualFold(b.Op, "read"):
			f.ReadBytes += amount(b.Value)
		case strings.EqualFold(b.Op, "write"):
			f.WriteBytes += amount(b.Value)
		}
	}
	return f
}

// memoryInUse leaves out file cache that the kernel can take back (cgroup v1 and v2 name it differently).
func (r rawFigures) memoryInUse() int64 {
	cache := r.Memory.Stats.InactiveFile
	if r.Memory.Stats.TotalInactiveFile != nil {
		cache = *r.Memory.Stats.TotalInactiveFile
	}
	if cache > r.Memory.Usage {
		return amount(r.Memory.Usage)
	}
	return amount(r.Memory.Usage - cache)
}

// amount is what an engine counts; some say "no limit" with all bits set.
func amount(n uint64) int64 { return int64(min(n, 1<<63-1)) } //nolint:gosec // just bounded
