package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) backupCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "backup",
		Short: "Copies of the store, made while it is in use",
		Long: `Backups of the store and of the certificates, made by the service while it runs, each opened and
compared before it counts. One is made every day (--backup-every of the service), and
three are kept (--backup-keep); those made by hand since the last one was due count as one, up to as many again.

The key file (docker-watcher.key in the data folder) is in none of them: keep a copy of it elsewhere. To
put a backup back, stop the service and run on its machine:

  server restore FILE --data FOLDER

"server" is the program of the service: docker-watcher-server in the Debian package, /server in the container.

All of it needs an admin.`,
		Example: `  docker-watcher backup make
  docker-watcher backup ls
  docker-watcher backup get --to /mnt/elsewhere`,
	}, a.backupMake(), a.backupLs(), a.backupGet(), a.backupRm())
}

func (a *app) backupMake() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "make", Short: "Make a backup now",
		Long:    "Makes a backup now and waits until it has been read again and compared. The oldest goes when there are more than are kept.",
		Example: "  docker-watcher backup make",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) (client.Backup, error) {
		return api.MakeBackup(c.Context())
	}, func(b client.Backup) {
		a.screen.Printf("%s, %s, made and checked\n", b.Name, screen.Bytes(b.Bytes))
	})
}

func (a *app) backupLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the backups",
		Long:    "Lists the backups that are there, the newest first.",
		Example: "  docker-watcher backup ls",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Backup, error) {
		return api.Backups(c.Context())
	}, func(all []client.Backup) {
		if len(all) == 0 {
			a.screen.Notef("there is no backup yet: docker-watcher backup make\n")
			return
		}
		t := screen.Table{Head: []string{"backup", "made", "size"}}
		for _, b := range all {
			t.Add(screen.Text(b.Name), a.when(b.At), screen.Text(screen.Bytes(b.Bytes)))
		}
		a.screen.Print(t)
	})
}

func (a *app) backupGet() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "get [BACKUP]", Short: "Fetch a backup, the newest unless one is named",
		Long:              "Fetches a backup into a folder or a file. One that broke off on the way is removed.",
		Example:           "  docker-watcher backup get --to /mnt/elsewhere",
		Args:              takes(0, 1),
		ValidArgsFunction: a.backupNames(),
	}
	c.Flags().StringVarP(&to, "to", "t", ".", "folder or file to write to")
	c.RunE = a.with(func(c *cobra.Command, api *client.Client, args []string) error {
		all, err := api.Backups(c.Context())
		if err != nil {
			return err
		}
		if len(args) == 0 && len(all) == 0 {
			return &notFoundError{"there is no backup", "docker-watcher backup make makes one"}
		}
		name := ""
		if len(args) == 1 {
			name = args[0]
		} else {
			name = all[0].Name
		}
		file := to
		if info, err := os.Stat(to); err == nil && info.IsDir() {
			file = filepath.Join(to, name)
		}
		if err := fetchBackup(c.Context(), api, name, file); err != nil {
			return err
		}
		return a.show(map[string]string{"file": file}, func() { a.screen.Printf("%s\n", file) })
	})
	return c
}

// fetchBackup leaves a whole file or none, and none in the place of another.
func fetchBackup(ctx context.Context, api *client.Client, name, file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	err = api.GetBackup(ctx, name, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

func (a *app) backupRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm BACKUP", Short: "Let go of a backup",
		Long:              "Removes a backup from the machine of the service.",
		Example:           "  docker-watcher backup rm docker-watcher-20261129T031700Z.tar.gz",
		ValidArgsFunction: a.backupNames(),
	}, removal[string]{
		find:   func(_ context.Context, _ *client.Client, name string) (string, error) { return name, nil },
		ask:    func(name string) string { return "Let go of " + name + "?" },
		remove: func(ctx context.Context, api *client.Client, name string) error { return api.DeleteBackup(ctx, name) },
		told:   func(name string) string { return name + " is removed" },
	})
}

func (a *app) backupNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		all, err := api.Backups(ctx)
		var names []string
		for _, b := range all {
			names = append(names, b.Name+"\t"+screen.Bytes(b.Bytes))
		}
		return names, err
	})
}
