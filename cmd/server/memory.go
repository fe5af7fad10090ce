package main

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	memoryLook  = 5 * time.Second
	memoryBurst = 1 << 20 // bytes allocated since memory was last given back
	memoryQuiet = 2 << 20 // bytes allocated between two looks
)

func init() {
	// Nobody reads a profile of this process, and to keep one takes more than a megabyte.
	runtime.MemProfileRate = 0
	// What lives is a few megabytes, so that to collect twice as often costs next to nothing.
	debug.SetGCPercent(50)
}

// giveBackMemory returns to the system what a burst (a scan, a sign-in) left behind, once it is quiet again. By
// itself the runtime looks only every two minutes, and gives back late; a daemon that idles all day should be small all day.
// Besides is asked to give back what is not in the hands of the runtime.
func giveBackMemory(besides func(context.Context) error, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(memoryLook)
		defer tick.Stop()
		var last, givenBack uint64
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
			now := allocated()
			if now-last < memoryQuiet && now-givenBack > memoryBurst {
				if err := besides(ctx); err != nil && ctx.Err() == nil {
					log.Warn("the database keeps its memory", "error", err)
				}
				debug.FreeOSMemory()
				if err := giveBackPages(); err != nil {
					log.Debug("the program keeps all its pages in memory", "error", err)
				}
				givenBack = now
			}
			last = now
		}
	}
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
