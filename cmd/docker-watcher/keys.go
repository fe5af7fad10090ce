package main

import (
	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

func (a *app) keysCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "keys",
		Short: "The key that secrets are sealed with",
		Long: `The key that secrets are sealed with: the values of variables, passwords of registries, private keys of
hosts, archives. It is docker-watcher.key in the data folder of the service.`,
		Example: "  docker-watcher keys rotate",
	}, a.keysRotate())
}

func (a *app) keysRotate() *cobra.Command {
	var forget bool
	c := &cobra.Command{
		Use: "rotate", Short: "Change the key, and seal everything anew",
		Long: `Makes a new key and seals every secret anew under it, all or nothing; a crash on the way leaves the old key or
the new one in force, never a mixture. While it goes on nothing else is written.

Backups made before need the old key. It is kept beside the new one, as docker-watcher.key.TIME: put it away with those
backups. With --forget it is not kept, and those backups cannot be read without a copy of it.

After a theft of the key, change the secrets themselves too: who has the key and an old copy of the database reads them.`,
		Example: `  docker-watcher keys rotate
  docker-watcher keys rotate --forget --yes`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			question := "Change the key, and seal everything anew? Backups made before need the old key, which is kept beside it."
			if forget {
				question = "Change the key, seal everything anew and forget the old key? Backups made before cannot be read without a copy of it."
			}
			if err := a.confirm(c, question); err != nil {
				return err
			}
			done, err := api.RotateKeys(c.Context(), forget)
			if err != nil {
				return err
			}
			return a.show(done, func() { a.tellRotation(done) })
		}),
	}
	c.Flags().BoolVar(&forget, "forget", false, "do not keep the old key, which backups made before need")
	return c
}

func (a *app) tellRotation(done client.KeyRotation) {
	a.screen.Printf("%s sealed anew under a new key\n", count(done.Resealed, "secret"))
	if done.FormerKey == "" {
		a.screen.Notef("the old key was not kept: backups made before cannot be read without a copy of it\n")
		return
	}
	a.screen.Notef("backups made before need the old key: it is %s in the data folder; put it away with them\n", done.FormerKey)
}
