package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	memoryLook  = 5 * time.Second
	memoryBurst = 8 << 20 // bytes allocated since memory was last given back
	memoryQuiet = 2 << 20 // bytes allocated between two looks
)

// giveBackMemory returns to the system what a burst (a scan, a sign-in) left behind, once it is quiet again. By
// itself the runtime looks only every two minutes, and gives back late; a daemon that idles all day should be small all day.
func giveBackMemory(ctx context.Context) error {
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
			debug.FreeOSMemory()
			givenBack = now
		}
		last = now
	}
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
