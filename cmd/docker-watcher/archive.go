package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) archiveCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "archive",
		Short: "What is kept of removed containers, and bringing them back",
		Long: `Before a container is removed, what it takes to bring it back is kept: its whole configuration,
its image under a tag of ours, its networks and routes, the last lines of its log, and its
writable layer if files changed in it. Its volumes stay on the engine anyway. An archive is
kept for archive_retention_days (14 at first).`,
		Example: `  docker-watcher archive ls
  docker-watcher archive restore shop-preview-a1b2c3
  docker-watcher archive restore --plan 0q3v...`,
	}, a.archiveLs(), a.archiveShow(), a.archiveRestore(), a.archiveRm())
}

func (a *app) archiveLs() *cobra.Command {
	var (
		f                   client.ArchiveFilter
		project, stg, where string
		limit               int
		total               *int
		bytes               *int64
	)
	c := lists(a, &cobra.Command{
		Use: "ls", Short: "List what can be brought back, and what keeping it costs",
		Long: `Lists the archives, the newest removal first: what it was, who removed it and when, until when it
is kept, and the bytes that its writable layer holds. Volumes are not counted: they stay
on the engine with or without an archive.`,
		Example: `  docker-watcher archive ls
  docker-watcher archive ls --plan 0q3v... -o wide
  docker-watcher archive ls --project shop --state ready`,
		Args: takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) (items []client.Archive, err error) {
		if f.Project, f.Stage, err = a.place(c, api, project, stg); err != nil {
			return nil, err
		}
		if f.Host, err = a.hostID(c, api, where); err != nil {
			return nil, err
		}
		items, more, err := everything(limit, func(p client.Page) (client.List[client.Archive], error) {
			l, err := api.Archives(c.Context(), f, p)
			if l.Total != nil {
				total, bytes = l.Total, l.Bytes
			}
			return l.List, err
		})
		a.more(more)
		return items, err
	}, func(items []client.Archive) {
		a.printArchives(items)
		if total != nil && bytes != nil {
			a.screen.Notef("%s can be brought back; that costs %s\n", count(*total, "container"), screen.Bytes(*bytes))
		}
	})
	flags := c.Flags()
	flags.StringVar(&project, "project", "", "only of this project")
	flags.StringVar(&stg, "stage", "", "only of this stage (PROJECT/STAGE)")
	flags.StringVar(&where, "host", "", "only on this host")
	flags.StringVar(&f.Plan, "plan", "", "only what this plan removed")
	flags.StringVar(&f.Text, "text", "", "only with this in name, tag or image")
	flags.StringArrayVar(&f.States, "state", nil, "ready, restored; repeat (default both)")
	flags.IntVar(&limit, "limit", 500, "at most so many (0: all)")
	return c
}

func (a *app) printArchives(items []client.Archive) {
	if len(items) == 0 {
		a.screen.Notef("nothing is archived\n")
		return
	}
	t := screen.Table{Head: []string{"archive", "name", "stage", "tag", "removed", "by", "kept until", "holds", "state"}}
	if a.wide() {
		t.Head = append(t.Head, "plan", "host", "class", "image kept", "layer", "volumes", "why")
	}
	for _, i := range items {
		row := []screen.Cell{
			screen.Text(i.ID), screen.Text(i.Name), screen.Text(i.Project + "/" + i.Stage), screen.Text(i.ImageTag),
			a.when(i.RemovedAt), screen.Text(i.RemovedBy), a.date(i.ExpiresAt), screen.Text(screen.Bytes(i.Bytes)), archiveState(i),
		}
		if a.wide() {
			row = append(row, orNever(i.PlanID), screen.Text(i.Host), classCell(i.Class), screen.Text(yesNo(i.ImageKept)), screen.Text(layerText(i)),
				orNever(strings.Join(volumeNames(i.Volumes), " ")), screen.Text(i.Reason))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

func archiveState(i client.Archive) screen.Cell {
	switch i.State {
	case "ready":
		return screen.Cell{Text: i.State, Tone: screen.Good}
	case "restored":
		return screen.Cell{Text: i.State, Tone: screen.Faint}
	}
	return screen.Cell{Text: i.State, Tone: screen.Warn}
}

func layerText(i client.Archive) string {
	switch {
	case i.LayerKept:
		return "kept"
	case i.LayerNote != "":
		return i.LayerNote
	}
	return "nothing changed in it"
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func volumeNames(volumes []client.ArchivedVolume) (names []string) {
	for _, v := range volumes {
		names = append(names, shortName(v.Name)+":"+v.Target)
	}
	return names
}

// shortName cuts the name of an anonymous volume and the id of an image or a container to what people compare.
func shortName(name string) string {
	name = strings.TrimPrefix(name, "sha256:")
	if longForm.MatchString(name) {
		return name[:12]
	}
	return name
}

// date is a moment as a date with minutes: what lies days ahead is planned by it.
func (a *app) date(t time.Time) screen.Cell {
	if t.IsZero() {
		return screen.Cell{Text: screen.Never, Tone: screen.Faint}
	}
	if a.exact || a.wide() {
		return screen.Text(screen.Exact(t))
	}
	return screen.Text(t.In(a.screen.Now().Location()).Format("2006-01-02 15:04"))
}

// archive finds one by its id, or the newest of a container's name that can still be restored.
func (a *app) archive(ctx context.Context, api *client.Client, name string) (client.Archive, error) {
	if idForm.MatchString(name) {
		found, err := api.Archive(ctx, name)
		if err == nil || !client.HasCode(err, client.CodeNotFound) {
			return found, err
		}
	}
	found, _, err := everything(0, func(p client.Page) (client.List[client.Archive], error) {
		l, err := api.Archives(ctx, client.ArchiveFilter{Text: name}, p)
		return l.List, err
	})
	if err != nil {
		return client.Archive{}, err
	}
	found = slices.DeleteFunc(found, func(i client.Archive) bool { return i.Name != name })
	for _, i := range found {
		if i.State == "ready" {
			return i, nil
		}
	}
	if len(found) > 0 {
		return found[0], nil
	}
	return client.Archive{}, &notFoundError{fmt.Sprintf("there is no archive %q", name), "docker-watcher archive ls lists them"}
}

func (a *app) archiveShow() *cobra.Command {
	var logs bool
	c := &cobra.Command{
		Use: "show ARCHIVE", Short: "Show what is kept of a removed container",
		Long: `Shows what is kept of a removed container and why it was removed. --logs prints the last lines
that it wrote (needs an operator). Its environment is sealed and is never shown.`,
		Example: `  docker-watcher archive show shop-preview-a1b2c3
  docker-watcher archive show 06h0kc8n7klh2cng --logs`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.archiveNames("ready", "restored"),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			found, err := a.archive(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if logs {
				return api.ArchiveLogs(c.Context(), found.ID, a.screen.Out)
			}
			return a.show(found, func() { a.printArchive(found) })
		}),
	}
	c.Flags().BoolVar(&logs, "logs", false, "print the last lines of its log")
	return c
}

func (a *app) printArchive(i client.Archive) {
	row := func(name, value string) {
		if value != "" {
			a.screen.Printf("%-13s%s\n", name, screen.Tame(value))
		}
	}
	row("archive", i.ID+" ("+i.State+")")
	row("container", i.Name+" of "+i.Project+"/"+i.Stage+" on "+i.Host)
	row("image", i.Image+":"+i.ImageTag)
	row("digest", i.Digest)
	row("image kept", yesNo(i.ImageKept))
	row("layer", layerText(i))
	row("holds", screen.Bytes(i.Bytes))
	row("volumes", strings.Join(volumeNames(i.Volumes), " "))
	row("networks", strings.Join(i.Networks, " "))
	for _, r := range i.Routes {
		row("route", fmt.Sprintf("%s -> port %d", strings.Join(r.Addresses, " "), r.Port))
	}
	row("class", i.Class)
	row("last alive", a.when(i.LastAliveAt).Text)
	row("why", i.Reason)
	row("removed", a.when(i.RemovedAt).Text+" by "+i.RemovedBy)
	row("plan", i.PlanID)
	row("kept until", a.date(i.ExpiresAt).Text)
	if i.State == "restored" {
		row("restored", a.when(i.RestoredAt).Text+" by "+i.RestoredBy)
	}
}

func (a *app) archiveRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm ARCHIVE", Short: "Forget a removed container for good",
		Long: `Deletes an archive before its time: the container cannot be brought back any more. Its volumes stay
on the engine; its image can be given back with "docker-watcher reclaim". Needs an admin.`,
		Example:           "  docker-watcher archive rm shop-preview-a1b2c3",
		ValidArgsFunction: a.archiveNames("ready", "restored"),
	}, removal[client.Archive]{
		find: a.archive,
		ask: func(i client.Archive) string {
			return fmt.Sprintf("Forget %s (%s/%s at %s) for good?", i.Name, i.Project, i.Stage, i.ImageTag)
		},
		remove: func(ctx context.Context, api *client.Client, i client.Archive) error {
			return api.DeleteArchive(ctx, i.ID)
		},
		told: func(i client.Archive) string { return i.Name + " cannot be brought back any more" },
	})
}

// archiveNames completes to the names of what was removed.
func (a *app) archiveNames(states ...string) completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := api.Archives(ctx, client.ArchiveFilter{States: states}, client.Page{Limit: 500})
		var names []string
		for _, i := range l.Items {
			if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, i.Name+"\t") }) {
				names = append(names, i.Name+"\tremoved "+screen.Ago(i.RemovedAt, a.screen.Now())+" by "+i.RemovedBy)
			}
		}
		return names, err
	})
}
