package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

const (
	// askEvery is how often a deploy is asked after; its progress comes by the event stream.
	askEvery = time.Second
	// streamWithin bounds the wait for the event stream before the deploy is begun without it.
	streamWithin = 3 * time.Second
)

func (a *app) deployCommand() *cobra.Command {
	var (
		image string
		wait  bool
	)
	c := &cobra.Command{
		Use:   "deploy PROJECT/STAGE TAG",
		Short: "Bring a stage to an image tag",
		Long: `Pulls the image, starts a new container and waits until it is healthy; then the one that
served before is stopped and kept for a rollback. If anything fails, what ran runs on.
One deploy at a time a stage.

With --wait (the default) it shows the progress and ends when the deploy does, with exit
code 1 if it failed. Interrupting it does not stop the deploy.`,
		Example: `  docker-watcher deploy shop/preview 1.4.2
  docker-watcher deploy shop/production sha256:9b2f... --wait=false -o json
  docker-watcher deploy shop/preview nightly --image ghcr.io/acme/shop-next`,
		Args:              takes(2, 2),
		ValidArgsFunction: a.stageNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			s, err := a.stage(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			request := client.DeployRequest{Tag: args[1], Image: image}
			if !wait {
				d, err := api.StartDeploy(c.Context(), s.ID, request)
				if err != nil {
					return err
				}
				return a.show(d, func() { a.screen.Printf("deploy %s of %s to %s/%s is queued\n", d.ID, d.ImageTag, s.Project, s.Name) })
			}
			d, err := a.deployAndWait(c.Context(), api, s, request)
			if err != nil {
				return err
			}
			return a.toldDeploy(c.Context(), api, s, d)
		}),
	}
	c.Flags().StringVar(&image, "image", "", "another image repository than the project's")
	c.Flags().BoolVar(&wait, "wait", true, "show the progress until it ends")
	return c
}

// deployAndWait begins a deploy and shows its progress until it ends.
func (a *app) deployAndWait(ctx context.Context, api *client.Client, s client.Stage, r client.DeployRequest) (client.Deploy, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := a.listen(ctx, api, client.EventFilter{Stage: s.ID})
	d, err := api.StartDeploy(ctx, s.ID, r)
	if err != nil {
		return d, err
	}
	line := a.screen.Progress()
	defer line.Clear()
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	misses := 0
	for {
		select {
		case <-ctx.Done():
			return d, fmt.Errorf("deploy %s goes on without being watched: %w", d.ID, ctx.Err())
		case e := <-told:
			if e.Data["deploy_id"] != d.ID {
				continue
			}
			showDeploy(line, e)
			if e.Kind != "deploy.done" && e.Kind != "deploy.failed" {
				continue
			}
		case <-ask.C:
		}
		now, err := api.Deploy(ctx, d.ID)
		if err != nil {
			if _, answered := client.AsProblem(err); answered || misses > 10 {
				return d, fmt.Errorf("ask after deploy %s: %w", d.ID, err)
			}
			misses++
			continue
		}
		misses = 0
		if d = now; d.Ended() {
			return d, nil
		}
	}
}

// listen follows the events in the background; the stream serves the display only, so that
// a stream that cannot be had is no error.
func (a *app) listen(ctx context.Context, api *client.Client, f client.EventFilter) <-chan client.Event {
	told, connected := make(chan client.Event, 64), make(chan struct{})
	go func() {
		once := false
		_ = api.Stream(ctx, client.StreamOptions{Filter: f, Connected: func() {
			if !once {
				close(connected)
			}
			once = true
		}}, func(e client.Event) error {
			select {
			case told <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	select {
	case <-connected:
	case <-time.After(streamWithin):
	case <-ctx.Done():
	}
	return told
}

// showDeploy shows one event of a deploy in a few words. How it ended is told after it.
func showDeploy(line *screen.Progress, e client.Event) {
	if e.Kind != "deploy.progress" {
		return
	}
	state, _ := e.Data["state"].(string)
	tag, _ := e.Data["image_tag"].(string)
	words := map[string]string{
		"pulling": "pulling " + tag, "starting": "starting the container", "checking": "waiting until it is healthy",
		"switching": "letting it serve",
	}[state]
	if words == "" {
		return
	}
	if strings.HasPrefix(e.Message, "stopping ") {
		words = e.Message
	}
	done, _ := e.Data["done_bytes"].(float64)
	all, _ := e.Data["total_bytes"].(float64)
	if state != "pulling" {
		all = 0
	}
	line.Step(words, int64(done), int64(all), screen.Bytes(int64(done))+" of "+screen.Bytes(int64(all)))
}

// toldDeploy tells how a deploy ended; one that failed is an error after its reason was shown.
func (a *app) toldDeploy(ctx context.Context, api *client.Client, s client.Stage, d client.Deploy) error {
	if d.State == "failed" {
		if a.output == "json" {
			return errors.Join(a.screen.JSON(d), codeError(exitError))
		}
		reason, lines, _ := strings.Cut(d.Error, "\n")
		if lines != "" {
			a.screen.Notef("%s\n", screen.Tame(lines))
		}
		return &hinted{
			fmt.Errorf("the deploy of %s to %s/%s failed: %s", d.ImageTag, s.Project, s.Name, reason),
			"what ran before runs on",
		}
	}
	if a.output == "json" {
		return a.screen.JSON(d)
	}
	i, err := api.Instance(ctx, d.InstanceID)
	if err != nil {
		return err
	}
	a.screen.Printf("%s/%s is at %s: %s is healthy%s\n", s.Project, s.Name, d.ImageTag, i.Name, addressesOf(i))
	return nil
}

func addressesOf(i client.Instance) string {
	for _, p := range i.Ports {
		if p.Host > 0 && p.Protocol != "udp" {
			ip := p.HostIP
			if ip == "" || ip == "0.0.0.0" || ip == "::" {
				ip = "127.0.0.1"
			}
			return fmt.Sprintf(" at http://%s:%d", ip, p.Host)
		}
	}
	return ""
}
