// Package usage tells what instances use: now, for somebody who looks, and over the last hour, which it keeps in memory.
// The engine is asked seldom enough that a thousand instances cost it and us next to nothing; see docs/adr/0011. Meter.Run
// asks in the background until its ctx ends; all else asks only when called. An engine that does not answer is a gap.
package usage

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// Reading is what a container uses at a moment.
type Reading struct {
	docker.Figures
	CPUPercent float64 // 100 is one core kept busy
	// Bytes a second since the reading before.
	RxRate, TxRate, ReadRate, WriteRate float64
}

// between is what was used from one moment to a later one. It is not known where no time passed, or where the counters
// began anew because the container was started again.
func between(a, b docker.Figures) (Reading, bool) {
	seconds := b.Time.Sub(a.Time).Seconds()
	if a.Time.IsZero() || seconds <= 0 || b.CPU < a.CPU || b.RxBytes < a.RxBytes || b.TxBytes < a.TxBytes {
		return Reading{}, false
	}
	rate := func(now, then int64) float64 { return float64(max(0, now-then)) / seconds }
	return Reading{
		Figures: b, CPUPercent: 100 * (b.CPU - a.CPU).Seconds() / seconds,
		RxRate: rate(b.RxBytes, a.RxBytes), TxRate: rate(b.TxBytes, a.TxBytes),
		ReadRate: rate(b.ReadBytes, a.ReadBytes), WriteRate: rate(b.WriteBytes, a.WriteBytes),
	}, true
}

// Sample is one point of the last hour: 40 bytes, so that an hour of one instance is at most 10 kB.
type Sample struct {
	ms          int64
	limit       int64
	CPUPercent  float32
	MemoryBytes float32
	// Bytes a second since the sample before.
	RxRate, TxRate, ReadRate, WriteRate float32
}

// Time by the engine's clock.
func (s Sample) Time() time.Time { return time.UnixMilli(s.ms).UTC() }

// MemoryLimit in bytes.
func (s Sample) MemoryLimit() int64 { return s.limit }

func sampleOf(r Reading) Sample {
	return Sample{
		ms: r.Time.UnixMilli(), limit: r.MemoryLimit, CPUPercent: float32(r.CPUPercent), MemoryBytes: float32(r.MemoryBytes),
		RxRate: float32(r.RxRate), TxRate: float32(r.TxRate), ReadRate: float32(r.ReadRate), WriteRate: float32(r.WriteRate),
	}
}
