package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
)

const (
	imageTimeout = 30 * time.Second
	// transferStall is how long a pull or a load may say nothing: a big layer is unpacked in silence.
	transferStall = 5 * time.Minute
)

// PullProgress is one step of a pull: summed over layers.
type PullProgress struct {
	Done, Total int64
	Status      string
}

// Pull fetches an image and tells its progress. auth is a registry credential as JSON base64, or empty.
// ErrNotFound: the registry has no such tag. ErrDenied: it wants other credentials.
func (e *Engine) Pull(ctx context.Context, ref, auth string, progress func(PullProgress)) error {
	dog := watch(ctx, transferStall)
	defer dog.end()
	err := e.pull(dog, ref, auth, progress)
	return failure(ctx, "pull "+ref, dog.reason(err))
}

func (e *Engine) pull(dog *watchdog, ref, auth string, progress func(PullProgress)) error {
	s, err := e.session(dog.ctx)
	if err != nil {
		return err
	}
	stream, err := s.cli.ImagePull(dog.ctx, ref, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return pullRefused(err)
	}
	layers := layerSums{}
	for message, err := range stream.JSONMessages(dog.ctx) {
		switch {
		case err != nil:
			return err
		case message.Error != nil:
			return inBand(message.Error.Message)
		}
		dog.moved()
		if progress != nil {
			progress(layers.add(message))
		}
	}
	return nil
}

// pullRefused sorts the refusals that come before the stream: engines answer 404 or 500 for whatever the
// registry said, so it is its words that count.
func pullRefused(err error) error {
	kind := kindOf(err)
	if kind == nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err) // the reference could not be read
	}
	if errors.Is(kind, ErrEngine) || errors.Is(kind, ErrNotFound) {
		return inBand(words(err))
	}
	return err
}

// layerSums adds up the layers of a pull.
type layerSums map[string]struct{ done, total int64 }

func (l layerSums) add(m jsonstream.Message) PullProgress {
	layer := l[m.ID]
	switch {
	case m.Progress != nil && m.Progress.Total > 0 && m.Status == "Downloading":
		layer.done, layer.total = m.Progress.Current, m.Progress.Total
	case m.Status == "Download complete", m.Status == "Pull complete", m.Status == "Already exists":
		layer.done = layer.total
	}
	if m.ID != "" {
		l[m.ID] = layer
	}
	sum := PullProgress{Status: m.Status}
	for _, layer := range l {
		sum.Done += layer.done
		sum.Total += layer.total
	}
	return sum
}

// InspectImage returns what the engine knows of an image, by reference or id.
func (e *Engine) InspectImage(ctx context.Context, ref string) (Image, error) {
	return call(ctx, e, "inspect image "+ref, imageTimeout, func(ctx context.Context, s *session) (Image, error) {
		got, err := s.cli.ImageInspect(ctx, ref)
		if err != nil {
			return Image{}, err
		}
		out := Image{
			ID:          got.ID,
			Tags:        got.RepoTags,
			RepoDigests: got.RepoDigests,
			Size:        got.Size,
			OS:          got.Os,
			Arch:        got.Architecture,
			Layers:      got.RootFS.Layers,
		}
		if got.Config != nil {
			out.HasHealthcheck = hasTest(got.Config.Healthcheck)
			out.ExposedPorts = portNumbers(got.Config.ExposedPorts)
			c := got.Config
			out.Defaults = Defaults{
				Env: c.Env, Command: c.Cmd, Entrypoint: c.Entrypoint, Labels: c.Labels,
				User: c.User, WorkingDir: c.WorkingDir, StopSignal: c.StopSignal,
			}
			if h := c.Healthcheck; h != nil && len(h.Test) > 0 {
				out.Defaults.Check = &Healthcheck{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
			}
		}
		return out, nil
	})
}

func portNumbers(exposed map[string]struct{}) []int {
	var out []int
	for port := range exposed {
		number, _, _ := strings.Cut(port, "/")
		if n, err := strconv.Atoi(number); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// LoadImage reads a docker-archive (for tests and the demo).
func (e *Engine) LoadImage(ctx context.Context, archive io.Reader) error {
	dog := watch(ctx, transferStall)
	defer dog.end()
	err := e.load(dog, archive)
	return failure(ctx, "load an image", dog.reason(err))
}

func (e *Engine) load(dog *watchdog, archive io.Reader) error {
	s, err := e.session(dog.ctx)
	if err != nil {
		return err
	}
	answer, err := s.cli.ImageLoad(dog.ctx, dog.reader(archive))
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }() // read to its end, or given up
	for lines := json.NewDecoder(dog.reader(answer)); ; {
		var message jsonstream.Message
		switch err := lines.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != nil:
			return inBand(message.Error.Message)
		}
	}
}
