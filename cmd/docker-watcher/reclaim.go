package main

import (
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

func (a *app) reclaimCommand() *cobra.Command {
	volume := group(&cobra.Command{
		Use:   "volume",
		Short: "Volumes that removed containers left",
		Long: `Volumes that removed containers left, one by one. A named volume is never removed by docker-watcher,
whoever asks; an anonymous one only when an admin names it. "docker-watcher reclaim ls"
shows them with who used them last.`,
		Example: "  docker-watcher reclaim volume rm 3f1c2b9a7d4e",
	}, a.reclaimVolumeRm())
	return group(&cobra.Command{
		Use:   "reclaim",
		Short: "What removed containers left on a host: images to give back, volumes to know of",
		Long: `Removed containers leave images and volumes on the engine. An image can be given back when we brought it,
only our removed containers used it, no archive keeps it, and nothing on the engine is made
of it. As with a cleanup, "plan" shows exactly what would go and "apply" does exactly that, looking
again before each. It never prunes and never removes by force. Volumes are only listed.`,
		Example: `  docker-watcher reclaim ls
  docker-watcher reclaim plan
  docker-watcher reclaim apply 0q3v...`,
	}, a.reclaimLs(), a.reclaimPlan(), a.reclaimApply(), volume)
}

// oneHost is the host that a flag names, or the only one there is.
func (a *app) oneHost(c *cobra.Command, api *client.Client, name string) (client.Host, error) {
	if name != "" {
		return a.host(c.Context(), api, name)
	}
	hosts, err := api.Hosts(c.Context())
	if err != nil {
		return client.Host{}, err
	}
	if len(hosts) == 1 {
		return hosts[0], nil
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return client.Host{}, usagef(c, "say which host with --host: %s", strings.Join(names, ", "))
}

// eachHost are all hosts, or the one that is named.
func (a *app) eachHost(ctx context.Context, api *client.Client, name string) ([]client.Host, error) {
	if name == "" {
		return api.Hosts(ctx)
	}
	h, err := a.host(ctx, api, name)
	return []client.Host{h}, err
}

func (a *app) reclaimLs() *cobra.Command {
	var where string
	c := lists(a, &cobra.Command{
		Use: "ls", Short: "List what removed containers left, and why it stays or can go",
		Long: `Asks the engines what is left of what our removed containers used: images with the bytes that would
come back (layers that others share are not counted) and why one is not given back; volumes with
their size, who uses them now and who used them last.`,
		Example: `  docker-watcher reclaim ls
  docker-watcher reclaim ls --host local -o json`,
		Args: takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) (all []client.Left, err error) {
		hosts, err := a.eachHost(c.Context(), api, where)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			left, err := api.Left(c.Context(), h.ID)
			if err != nil {
				return nil, fmt.Errorf("host %s: %w", h.Name, err)
			}
			all = append(all, left)
		}
		return all, nil
	}, func(all []client.Left) {
		for _, left := range all {
			a.printLeft(left)
		}
	})
	c.Flags().StringVar(&where, "host", "", "only of this host")
	return c
}

func (a *app) printLeft(left client.Left) {
	able := 0
	images := screen.Table{Head: []string{"image", "id", "size", "comes back", "last used", "by", "what"}}
	for _, i := range left.Images {
		what := screen.Cell{Text: "stays: " + i.Why, Tone: screen.Faint}
		if i.Reclaimable {
			able++
			what = screen.Cell{Text: "can go", Tone: screen.Warn}
		}
		images.Add(a.refsCell(i.Refs), screen.Text(a.idText(i.ID)), screen.Text(screen.Bytes(i.Size)), size(i.Bytes),
			a.when(i.LastUse.LastUsedAt), orNever(userText(i.LastUse)), what)
	}
	volumes := screen.Table{Head: []string{"volume", "size", "used by", "last used", "by", "what"}}
	for _, v := range left.Volumes {
		what := screen.Cell{Text: "stays: " + v.Why, Tone: screen.Faint}
		if v.Removable {
			what = screen.Cell{Text: "an admin may remove it", Tone: screen.Warn}
		}
		volumes.Add(screen.Text(a.idText(v.Name)), size(v.Bytes), orNever(strings.Join(v.UsedBy, " ")), a.when(v.LastUse.LastUsedAt), orNever(userText(v.LastUse)), what)
	}
	if len(images.Rows) > 0 {
		a.screen.Print(images)
	}
	if len(volumes.Rows) > 0 {
		a.screen.Print(volumes)
	}
	a.screen.Printf("%s: %s can go, %s would come back; %s listed\n", left.Host, count(able, "image"), screen.Bytes(left.Bytes), count(len(left.Volumes), "volume"))
	if able > 0 {
		a.screen.Notef("Next: docker-watcher reclaim plan --host %s\n", left.Host)
	}
}

// refsCell are the names of an image; those that our archives gave it only with -o wide.
func (a *app) refsCell(refs []string) screen.Cell {
	if a.wide() {
		return orNever(strings.Join(refs, " "))
	}
	plain := slices.DeleteFunc(slices.Clone(refs), func(ref string) bool { return strings.HasPrefix(ref, "localhost/docker-watcher-archive:") })
	if len(plain) == 0 && len(refs) > 0 {
		return screen.Cell{Text: "(kept for an undo)", Tone: screen.Faint}
	}
	return orNever(strings.Join(plain, " "))
}

// idText is an id as people compare it; whole with -o wide.
func (a *app) idText(id string) string {
	if a.wide() {
		return id
	}
	return shortName(id)
}

func (a *app) idTexts(ids []string) (texts []string) {
	for _, id := range ids {
		texts = append(texts, a.idText(id))
	}
	return texts
}

func userText(u client.LastUse) string {
	if u.Instance == "" {
		return ""
	}
	return u.Instance + " of " + u.Project + "/" + u.Stage
}

func (a *app) reclaimPlan() *cobra.Command {
	var where, show string
	c := shows(a, &cobra.Command{
		Use: "plan [IMAGE...]", Short: "Show exactly which images would go; nothing is touched",
		Long: `Makes a plan for one host and shows it: each image with the bytes that come back and who used it last.
Without names it is about every image that can go. Nothing is touched. The plan is kept for
15 minutes; "docker-watcher reclaim apply ID" does exactly it. --show prints an earlier plan
again, with the results if it was applied. Needs an admin.`,
		Example: `  docker-watcher reclaim plan
  docker-watcher reclaim plan --host local ghcr.io/acme/shop:1.4.1
  docker-watcher reclaim plan --show 0q3v...`,
		Args: takes(0, -1),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.ReclaimPlan, error) {
		if show != "" {
			if where != "" || len(args) > 0 {
				return client.ReclaimPlan{}, usagef(c, "--show prints a plan as it is: give no names or host with it")
			}
			return api.ReclaimPlan(c.Context(), show)
		}
		h, err := a.oneHost(c, api, where)
		if err != nil {
			return client.ReclaimPlan{}, err
		}
		ids, err := a.imageIDs(c.Context(), api, h, args)
		if err != nil {
			return client.ReclaimPlan{}, err
		}
		return api.PlanReclaim(c.Context(), h.ID, ids...)
	}, a.printReclaimPlan)
	c.Flags().StringVar(&where, "host", "", "the host, where there are several")
	c.Flags().StringVar(&show, "show", "", "print the plan of this id again")
	return c
}

// imageIDs finds images that our removed containers left by a reference, or by the beginning of their id.
func (a *app) imageIDs(ctx context.Context, api *client.Client, h client.Host, names []string) (ids []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	left, err := api.Left(ctx, h.ID)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(left.Images, func(i client.LeftImage) bool {
			bare := strings.TrimPrefix(i.ID, "sha256:")
			return i.ID == name || slices.Contains(i.Refs, name) || containerForm.MatchString(name) && strings.HasPrefix(bare, name)
		})
		if i < 0 {
			return nil, &notFoundError{fmt.Sprintf("no container that we removed from %s left an image %q", h.Name, name), "docker-watcher reclaim ls lists them"}
		}
		ids = append(ids, left.Images[i].ID)
	}
	return ids, nil
}

func (a *app) printReclaimPlan(p client.ReclaimPlan) {
	switch {
	case p.State != "planned":
		a.screen.Printf("plan %s: %s by %s\n", p.ID, p.State, p.AppliedBy)
	case len(p.Items) == 0:
		a.screen.Printf("there is nothing to give back\n")
		return
	default:
		a.screen.Printf("plan %s: %s to remove, %s comes back; it may be applied for %s\n", p.ID, count(len(p.Items), "image"),
			screen.Bytes(p.Bytes), screen.Span(p.ExpiresAt.Sub(a.screen.Now()).Round(time.Minute)))
	}
	t := screen.Table{Head: []string{"image", "id", "comes back", "last used", "by", "what"}}
	for _, i := range p.Items {
		what := screen.Cell{Text: "remove", Tone: screen.Warn}
		if i.Result != "" {
			what = resultOf(i.Result, i.Detail)
		}
		t.Add(a.refsCell(i.Refs), screen.Text(a.idText(i.ImageID)), screen.Text(screen.Bytes(i.Bytes)),
			a.when(i.LastUse.LastUsedAt), orNever(userText(i.LastUse)), what)
	}
	a.screen.Print(t)
	if p.State == "planned" {
		a.screen.Notef("Next: docker-watcher reclaim apply %s\n", p.ID)
	}
}

func resultOf(result, detail string) screen.Cell {
	cell := resultCell(result)
	if detail != "" {
		cell.Text += ": " + detail
	}
	return cell
}

func (a *app) reclaimApply() *cobra.Command {
	return &cobra.Command{
		Use: "apply PLAN", Short: "Do exactly what a plan says",
		Long: `Removes exactly the images that a plan has shown. Each is looked at once more right before, and removed
without force: one that something uses by then is left alone. Exit code 6 when not every
image of the plan is gone. On a terminal it shows the plan and asks first. Needs an admin.`,
		Example: `  docker-watcher reclaim plan
  docker-watcher reclaim apply 0q3v...`,
		Args: takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			p, err := api.ReclaimPlan(c.Context(), args[0])
			if err != nil {
				return err
			}
			if !a.yes && a.screen.InputTerminal && p.State == "planned" {
				a.printReclaimPlan(p)
				if err := a.confirm(c, fmt.Sprintf("Remove %s?", count(len(p.Items), "image"))); err != nil {
					return err
				}
			}
			done, err := watched(c.Context(), a, api, func() (client.ReclaimPlan, error) {
				return api.ApplyReclaim(c.Context(), p.HostID, p.ID)
			}, showProgress("removing images", "reclaim.progress", p.ID))
			if err != nil {
				return err
			}
			gone := 0
			for _, i := range done.Items {
				if i.Result == "removed" || i.Result == "already_gone" {
					gone++
				}
			}
			err = a.show(done, func() {
				a.printReclaimPlan(done)
				a.screen.Printf("%d of %s gone\n", gone, count(len(done.Items), "image"))
			})
			if err == nil && gone < len(done.Items) {
				return codeError(exitPartly)
			}
			return err
		}),
	}
}

func (a *app) reclaimVolumeRm() *cobra.Command {
	var (
		where     string
		breakUndo bool
		host      client.Host
	)
	c := &cobra.Command{
		Use: "rm NAME", Short: "Remove an anonymous volume with all that is in it",
		Long: `Removes one anonymous volume that a removed container left, with all that is in it; this cannot be
undone. The name may be shortened to 12 characters. A named volume is refused: remove it with
docker volume rm yourself. So is one that a container uses, and one that an archive needs,
unless --break-undo says that the archive may lose it. Needs an admin.`,
		Example: `  docker-watcher reclaim ls
  docker-watcher reclaim volume rm 3f1c2b9a7d4e`,
	}
	c.ValidArgsFunction = a.volumeNames(&where)
	c = removes(a, c, removal[client.LeftVolume]{
		find: func(ctx context.Context, api *client.Client, name string) (v client.LeftVolume, err error) {
			if host, err = a.oneHost(c, api, where); err != nil {
				return v, err
			}
			return a.volume(ctx, api, host, name)
		},
		ask: func(v client.LeftVolume) string {
			return fmt.Sprintf("Remove volume %s with all that is in it (%s, last used by %s)? This cannot be undone.", v.Name, size(v.Bytes).Text, firstOf(userText(v.LastUse), "nobody known"))
		},
		remove: func(ctx context.Context, api *client.Client, v client.LeftVolume) error {
			return api.RemoveVolume(ctx, host.ID, v.Name, breakUndo)
		},
		told: func(v client.LeftVolume) string { return "volume " + v.Name + " is gone" },
	})
	c.Flags().StringVar(&where, "host", "", "the host, where there are several")
	c.Flags().BoolVar(&breakUndo, "break-undo", false, "also if an archive needs it for an undo")
	return c
}

// volume finds one that our removed containers left. One that is not among them is left to the service to refuse.
func (a *app) volume(ctx context.Context, api *client.Client, h client.Host, name string) (client.LeftVolume, error) {
	left, err := api.Left(ctx, h.ID)
	if err != nil {
		return client.LeftVolume{}, err
	}
	var found []client.LeftVolume
	for _, v := range left.Volumes {
		if v.Name == name || v.Anonymous && containerForm.MatchString(name) && strings.HasPrefix(v.Name, name) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return client.LeftVolume{}, &notFoundError{fmt.Sprintf("no container of ours used a volume %q on %s", name, h.Name), "docker-watcher reclaim ls lists them"}
	}
	return client.LeftVolume{}, &hinted{errors.New(name + " names several volumes"), "give the whole name: docker-watcher reclaim ls -o wide"}
}

// volumeNames completes to the volumes of a host that may be removed.
func (a *app) volumeNames(where *string) completer {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
			h, err := a.oneHost(c, api, *where)
			if err != nil {
				return nil, err
			}
			left, err := api.Left(ctx, h.ID)
			var names []string
			for _, v := range left.Volumes {
				if v.Removable {
					names = append(names, v.Name+"\t"+size(v.Bytes).Text+", last used by "+firstOf(userText(v.LastUse), "nobody known"))
				}
			}
			return names, err
		})(c, args, typed)
	}
}
