package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

var (
	idForm        = regexp.MustCompile(`^[a-z0-9]{16}$`)
	longForm      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	containerForm = regexp.MustCompile(`^[0-9a-f]{12,64}$`)
)

// everything reads all pages of a list, or up to limit items (0: all of them).
func everything[T any](limit int, page func(client.Page) (client.List[T], error)) (items []T, more bool, err error) {
	p := client.Page{Limit: 500}
	for {
		if limit > 0 {
			p.Limit = min(500, limit-len(items))
		}
		l, err := page(p)
		if err != nil {
			return nil, false, err
		}
		items = append(items, l.Items...)
		if l.NextCursor == "" || limit > 0 && len(items) >= limit {
			return items, l.NextCursor != "", nil
		}
		p.Cursor = l.NextCursor
	}
}

// project finds one by its name or its id.
func (a *app) project(ctx context.Context, api *client.Client, name string) (client.Project, error) {
	p, err := api.Project(ctx, name)
	if client.HasCode(err, client.CodeNotFound) {
		return p, &notFoundError{fmt.Sprintf("there is no project %q", name), "docker-watcher project ls lists them"}
	}
	return p, err
}

// stage finds one by shop/preview, or by its id.
func (a *app) stage(ctx context.Context, api *client.Client, name string) (client.Stage, error) {
	project, short, both := strings.Cut(name, "/")
	if !both {
		if idForm.MatchString(name) {
			return api.Stage(ctx, name)
		}
		return client.Stage{}, &notFoundError{fmt.Sprintf("%q names no stage", name), "a stage is written PROJECT/STAGE, such as shop/preview"}
	}
	p, err := a.project(ctx, api, project)
	if err != nil {
		return client.Stage{}, err
	}
	stages, err := api.Stages(ctx, p.ID)
	if err != nil {
		return client.Stage{}, err
	}
	var there []string
	for _, s := range stages {
		if s.Name == short {
			return s, nil
		}
		there = append(there, s.Name)
	}
	hint := "docker-watcher stage create " + name + " makes it"
	if len(there) > 0 {
		hint = project + " has " + strings.Join(there, ", ")
	}
	return client.Stage{}, &notFoundError{fmt.Sprintf("project %s has no stage %q", project, short), hint}
}

// instance finds one by its name, its id or its container's id.
func (a *app) instance(ctx context.Context, api *client.Client, name string) (client.Instance, error) {
	if idForm.MatchString(name) {
		i, err := api.Instance(ctx, name)
		if err == nil || !client.HasCode(err, client.CodeNotFound) {
			return i, err
		}
	}
	found, _, err := everything(0, func(p client.Page) (client.List[client.Instance], error) {
		return api.Instances(ctx, client.InstanceFilter{Text: name}, p)
	})
	if err != nil {
		return client.Instance{}, err
	}
	var named, byContainer []client.Instance
	for _, i := range found {
		if i.Name == name || i.ID == name {
			named = append(named, i)
		}
		if containerForm.MatchString(name) && strings.HasPrefix(i.ContainerID, name) {
			byContainer = append(byContainer, i)
		}
	}
	if len(named) == 0 {
		named = byContainer
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		return client.Instance{}, &notFoundError{fmt.Sprintf("there is no instance %q", name), "docker-watcher ps lists their names"}
	}
	return client.Instance{}, &notFoundError{fmt.Sprintf("%q names %d instances", name, len(named)), "use the id: docker-watcher ps -o wide"}
}

// host finds one by its name or its id.
func (a *app) host(ctx context.Context, api *client.Client, name string) (client.Host, error) {
	hosts, err := api.Hosts(ctx)
	if err != nil {
		return client.Host{}, err
	}
	for _, h := range hosts {
		if h.Name == name || h.ID == name {
			return h, nil
		}
	}
	return client.Host{}, &notFoundError{fmt.Sprintf("there is no host %q", name), "docker-watcher hosts lists them"}
}

// hostID is the id of the host that a flag names; without a name it is empty, which is all hosts.
func (a *app) hostID(c *cobra.Command, api *client.Client, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	h, err := a.host(c.Context(), api, name)
	return h.ID, err
}

// Completion asks the service; what it cannot answer is completed to nothing.

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

func (a *app) completes(list func(context.Context, *client.Client) ([]string, error)) completer {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		api, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := list(c.Context(), api)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) instanceNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := api.Instances(ctx, client.InstanceFilter{}, client.Page{Limit: 500})
		var names []string
		for _, i := range l.Items {
			names = append(names, i.Name+"\t"+i.ImageTag+", "+i.Status)
		}
		return names, err
	})
}

func (a *app) stageNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		stages, err := api.Stages(ctx, "")
		var names []string
		for _, s := range stages {
			names = append(names, s.Project+"/"+s.Name)
		}
		return names, err
	})
}

func (a *app) projectNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := api.Projects(ctx, client.Page{Limit: 500})
		var names []string
		for _, p := range l.Items {
			names = append(names, p.Name)
		}
		return names, err
	})
}

func (a *app) hostNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		hosts, err := api.Hosts(ctx)
		var names []string
		for _, h := range hosts {
			names = append(names, h.Name)
		}
		return names, err
	})
}
