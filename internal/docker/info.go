package docker

import (
	"context"
	"time"

	"github.com/moby/moby/client"
)

const infoTimeout = 15 * time.Second

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
