package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

// with is what a command does once it has the service at hand.
func (a *app) with(do func(*cobra.Command, *client.Client, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		api, err := a.client()
		if err != nil {
			return err
		}
		return do(c, api, args)
	}
}

// reading gets what a command shows.
type reading[T any] = func(*cobra.Command, *client.Client, []string) (T, error)

// shows makes a command that reads one thing and shows it.
func shows[T any](a *app, c *cobra.Command, read reading[T], people func(T)) *cobra.Command {
	c.RunE = a.with(func(c *cobra.Command, api *client.Client, args []string) error {
		v, err := read(c, api, args)
		if err != nil {
			return err
		}
		return a.show(v, func() { people(v) })
	})
	return c
}

// lists makes a command that reads several things and shows them.
func lists[T any](a *app, c *cobra.Command, read reading[[]T], people func([]T)) *cobra.Command {
	return shows(a, c, func(c *cobra.Command, api *client.Client, args []string) (client.List[T], error) {
		items, err := read(c, api, args)
		return listOf(items), err
	}, func(l client.List[T]) { people(l.Items) })
}

// removal is how one thing that a command names is found, asked about and removed.
type removal[T any] struct {
	find   func(context.Context, *client.Client, string) (T, error)
	ask    func(T) string // the question before
	remove func(context.Context, *client.Client, T) error
	told   func(T) string // what is said after
}

// removes makes a command that removes what its one argument names, after asking.
func removes[T any](a *app, c *cobra.Command, r removal[T]) *cobra.Command {
	c.Args = takes(1, 1)
	c.RunE = a.with(func(c *cobra.Command, api *client.Client, args []string) error {
		found, err := r.find(c.Context(), api, args[0])
		if err != nil {
			return err
		}
		if err := a.confirm(c, r.ask(found)); err != nil {
			return err
		}
		if err := r.remove(c.Context(), api, found); err != nil {
			return err
		}
		return a.show(found, func() { a.screen.Printf("%s\n", r.told(found)) })
	})
	return c
}
