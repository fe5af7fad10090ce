package main

import (
	"context"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// watched asks the service for something that takes its time and shows on a terminal, by the events that come
// meanwhile, how it goes on.
func watched[T any](ctx context.Context, a *app, api *client.Client, ask func() (T, error), step func(*screen.Progress, client.Event)) (T, error) {
	line := a.screen.Progress()
	defer line.Clear()
	quiet, cancel := context.WithCancel(ctx)
	defer cancel()
	var told <-chan client.Event
	if a.screen.Terminal {
		told = a.listen(quiet, api, client.EventFilter{})
	}
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := ask()
		answered <- answer{value, err}
	}()
	for {
		select {
		case got := <-answered:
			return got.value, got.err
		case e := <-told:
			step(line, e)
		}
	}
}

// showProgress shows the events of one kind about one plan, which say how many of how many are done.
func showProgress(what, kind, planID string) func(*screen.Progress, client.Event) {
	return func(line *screen.Progress, e client.Event) {
		if e.Kind != kind || e.Data["plan_id"] != planID {
			return
		}
		done, _ := e.Data["done"].(float64)
		total, _ := e.Data["total"].(float64)
		line.Step(what, int64(done), int64(total), e.Message)
	}
}
