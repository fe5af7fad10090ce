package docker

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

const infoTimeout = 15 * time.Second

// freeSpace reads what some storage drivers tell of the room that is left (zfs in bytes, devicemapper in words);
// the others, overlay among them, do not: -1. See Room.
func freeSpace(status [][2]string) int64 {
	for _, line := range status {
		if line[0] == "Space Available" || line[0] == "Data Space Available" {
			return bytesIn(line[1])
		}
	}
	return -1
}

// bytesIn reads a number of bytes, bare or with a unit as engines write it (1.5 GB, 12GiB); -1 for what is none.
func bytesIn(text string) int64 {
	at := strings.LastIndexAny(text, "0123456789")
	if at < 0 {
		return -1
	}
	n, err := strconv.ParseFloat(text[:at+1], 64)
	unit := map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50,
	}[strings.ToLower(strings.TrimSpace(text[at+1:]))]
	if err != nil || n < 0 || unit == 0 || n*unit > math.MaxInt64/2 {
		return -1
	}
	return int64(n * unit)
}

// Info asks the engine about itself.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	return call(ctx, e, "ask the engine about itself", infoTimeout, func(ctx context.Context, s *session) (Info, error) {
		got, err := s.cli.Info(ctx, client.InfoOptions{})
		if err != nil {
			return Info{}, err
		}
		in := got.Info
		skew, _ := e.Skew()
		if s.podman() {
			in.ID = "" // it makes up another one for each answer
		}
		return Info{
			EngineID:      in.ID,
			Name:          in.Name,
			Version:       in.ServerVersion,
			APIVersion:    s.cli.ClientVersion(),
			DataRoot:      in.DockerRootDir,
			StorageDriver: in.Driver,
			OS:            in.OSType,
			Arch:          in.Architecture,
			LiveRestore:   in.LiveRestoreEnabled,
			Containers:    in.Containers,
			SystemTime:    engineTime(in.SystemTime),
			Skew:          skew,
		}, nil
	})
}
