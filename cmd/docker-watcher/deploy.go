package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// streamWithin bounds the wait for the event stream before a job is begun without it.
const streamWithin = 3 * time.Second

func (a *app) deployCommand() *cobra.Command {
	var (
		image string
		wait  bool
		dry   bool
	)
	c := &cobra.Command{
		Use:   "deploy PROJECT/STAGE TAG",
		Short: "Bring a stage to an image tag",
		Long: `Pulls the image, starts a new container and waits until it is healthy; then routes
come to lead to it, and the one that served before drains, is stopped and kept for a
rollback. If anything fails, what ran runs on. Of a stage one deploy is carried out
at a time and one waits: a newer one supersedes the one that waits.

With --wait (the default) it shows the log as it grows and ends when the deploy does, with
exit code 1 if it did not come to serve. Interrupting it does not stop the deploy:
"docker-watcher deploy cancel" does.`,
		Example: `  docker-watcher deploy shop/preview 1.4.2
  docker-watcher deploy shop/production sha256:9b2f... --wait=false -o json
  docker-watcher deploy shop/preview nightly --image ghcr.io/acme/shop-next
  docker-watcher deploy cancel shop/preview`,
		Args:              takes(2, 2),
		ValidArgsFunction: a.stageNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			s, err := a.stage(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if dry {
				diff, err := api.DiffStage(c.Context(), s.ID, args[1])
				if err != nil {
					return err
				}
				return a.show(diff, func() { a.printDiff(diff) })
			}
			d, err := api.StartDeploy(c.Context(), s.ID, client.DeployRequest{Tag: args[1], Image: image})
			if err != nil {
				return err
			}
			return a.begun(c.Context(), api, s, d, wait)
		}),
	}
	c.Flags().StringVar(&image, "image", "", "another image repository than the project's")
	c.Flags().BoolVar(&wait, "wait", true, "show the log until it ends")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what it would change against what runs, and deploy nothing")
	c.AddCommand(a.deployCancel(), a.deployLog())
	return c
}

func (a *app) rollbackCommand() *cobra.Command {
	var (
		to   string
		wait bool
	)
	c := &cobra.Command{
		Use:   "rollback PROJECT/STAGE",
		Short: "Bring a stage back to what served before",
		Long: `Starts the container that served before again, waits until it is healthy and lets it serve; the one
that serves now drains, is stopped and kept in its turn. If the container is gone,
another is made of its spec and its digest. --to names another former one, by tag,
digest, name or id; "docker-watcher ps --stage PROJECT/STAGE" lists them.`,
		Example: `  docker-watcher rollback shop/production
  docker-watcher rollback shop/production --to 1.4.1`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			s, err := a.stage(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			d, err := api.Rollback(c.Context(), s.ID, to)
			if err != nil {
				return err
			}
			return a.begun(c.Context(), api, s, d, wait)
		}),
	}
	c.Flags().StringVar(&to, "to", "", "the tag, digest, name or id of a former one (default: the kept one that led up to what serves)")
	c.Flags().BoolVar(&wait, "wait", true, "show the log until it ends")
	return c
}

// begun shows a deploy that was queued: until it ends, if it is waited for.
func (a *app) begun(ctx context.Context, api *client.Client, s client.Stage, d client.Deploy, wait bool) error {
	if !wait {
		return a.show(d, func() {
			a.screen.Printf("%s %s of %s/%s to %s is queued\n", d.Kind, d.ID, s.Project, s.Name, d.ImageTag)
		})
	}
	d, err := a.followDeploy(ctx, api, d)
	if err != nil {
		return err
	}
	return a.toldDeploy(ctx, api, s, d)
}

// followDeploy shows the log of a deploy until it ends.
func (a *app) followDeploy(ctx context.Context, api *client.Client, d client.Deploy) (client.Deploy, error) {
	line := a.screen.Progress()
	defer line.Clear()
	ended, err := api.FollowDeploy(ctx, d.ID, func(l client.DeployLine) { showDeploy(line, d.ImageTag, l) })
	switch {
	case ctx.Err() != nil:
		return d, fmt.Errorf("deploy %s goes on without being watched: %w", d.ID, ctx.Err())
	case err != nil:
		return d, fmt.Errorf("follow deploy %s: %w", d.ID, err)
	}
	return ended, nil
}

// showDeploy shows one line of a deploy; how far a pull is moves the line of progress. How it ended is told after it.
func showDeploy(line *screen.Progress, tag string, l client.DeployLine) {
	switch {
	case l.State == "pulling" && l.TotalBytes > 0:
		line.Step("pulling "+tag, l.DoneBytes, l.TotalBytes, screen.Bytes(l.DoneBytes)+" of "+screen.Bytes(l.TotalBytes))
	case l.Line > 0 && !(client.Deploy{State: l.State}).Ended():
		line.Linef("%s", l.Text)
	}
}

func (a *app) deployCancel() *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "cancel PROJECT/STAGE|DEPLOY",
		Short: "End a deploy before its new container serves",
		Long: `Ends the deploy of a stage, and the one that waits behind it, or the one of an id. What was made for it is
stopped, what served serves on. Once the new container serves it is too late:
"docker-watcher rollback" goes back.`,
		Example:           "  docker-watcher deploy cancel shop/preview",
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			open, err := a.openDeploys(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			var ended []client.Deploy
			for _, d := range open { // the newest first: what waits must not begin meanwhile
				d, err := api.CancelDeploy(c.Context(), d.ID)
				if err == nil && wait && !d.Ended() {
					d, err = a.followDeploy(c.Context(), api, d)
				}
				if err != nil {
					return err
				}
				ended = append(ended, d)
			}
			return a.show(listOf(ended), func() {
				for _, d := range ended {
					a.screen.Printf("deploy %s of %s: %s\n", d.ID, d.ImageTag, cmp.Or(d.Error, "it ends"))
				}
			})
		}),
	}
	c.Flags().BoolVar(&wait, "wait", true, "until it has ended")
	return c
}

// openDeploys are the deploys of a stage that have not ended, the newest first, or the one of an id.
func (a *app) openDeploys(ctx context.Context, api *client.Client, name string) ([]client.Deploy, error) {
	if idForm.MatchString(name) {
		d, err := api.Deploy(ctx, name)
		if err == nil || !client.HasCode(err, client.CodeNotFound) {
			return []client.Deploy{d}, err
		}
	}
	s, err := a.stage(ctx, api, name)
	if err != nil {
		return nil, err
	}
	deploys, err := api.Deploys(ctx, s.ID, client.Page{Limit: 100})
	if err != nil {
		return nil, err
	}
	open := slices.DeleteFunc(deploys.Items, client.Deploy.Ended)
	if len(open) == 0 {
		return nil, &notFoundError{fmt.Sprintf("no deploy of %s/%s is under way", s.Project, s.Name), "docker-watcher stage show lists the last ones"}
	}
	return open, nil
}

func (a *app) deployLog() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "log PROJECT/STAGE|DEPLOY", Short: "The log of a deploy: that of an id, or the last one of a stage",
		Long:              "Shows what a deploy did, step by step. Of a stage it is the newest one.",
		Example:           "  docker-watcher deploy log shop/preview",
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.List[client.DeployLine], error) {
		id := args[0]
		if !idForm.MatchString(id) {
			s, err := a.stage(c.Context(), api, id)
			if err != nil {
				return client.List[client.DeployLine]{}, err
			}
			last, err := api.Deploys(c.Context(), s.ID, client.Page{Limit: 1})
			if err != nil {
				return client.List[client.DeployLine]{}, err
			}
			if len(last.Items) == 0 {
				return client.List[client.DeployLine]{}, &notFoundError{id + " was never deployed to", "docker-watcher deploy " + id + " TAG"}
			}
			id = last.Items[0].ID
		}
		lines, err := api.DeployLog(c.Context(), id, 0)
		return listOf(lines), err
	}, func(l client.List[client.DeployLine]) {
		for _, line := range l.Items {
			a.screen.Printf("%s %s\n", line.Time.UTC().Format("2006-01-02 15:04:05"), screen.Tame(line.Text))
		}
	})
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

// toldDeploy tells how a deploy ended; one that did not come to serve is an error after its reason was shown.
func (a *app) toldDeploy(ctx context.Context, api *client.Client, s client.Stage, d client.Deploy) error {
	if d.State != "done" {
		if a.output == "json" {
			return errors.Join(a.screen.JSON(d), codeError(exitError))
		}
		reason, lines, _ := strings.Cut(d.Error, "\n")
		if lines != "" {
			a.screen.Notef("%s\n", screen.Tame(lines))
		}
		what := fmt.Errorf("the %s of %s/%s to %s was %s", d.Kind, s.Project, s.Name, d.ImageTag, reason)
		if d.State == "failed" {
			what = fmt.Errorf("the %s of %s/%s to %s failed: %s", d.Kind, s.Project, s.Name, d.ImageTag, reason)
		}
		return &hinted{what, "what ran before runs on"}
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
