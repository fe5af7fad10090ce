// Command figures measures an engine for docs/engines.md.
//
//	figures ENDPOINT NAME SUITE START   prints the engine's row
//	figures -write FILE < ROWS             puts rows into the table of FILE, each in the place of the one of its name
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// many is how many containers are listed and inspected.
const many = 500

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "-write":
		rows, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return write(args[1], strings.Split(strings.TrimSpace(string(rows)), "\n"))
	case len(args) == 4:
		row, err := measure(ctx, args[0], args[1], args[2], args[3])
		if err != nil {
			return err
		}
		_, err = fmt.Println(row)
		return err
	default:
		return fmt.Errorf("usage: figures ENDPOINT NAME SUITE START | figures -write FILE")
	}
}

func measure(ctx context.Context, endpoint, name, suite, start string) (string, error) {
	e, err := docker.New(docker.Options{Endpoint: endpoint})
	if err != nil {
		return "", err
	}
	info, err := e.Info(ctx)
	if err != nil {
		return "", err
	}
	ids, err := fill(ctx, e)
	if err != nil {
		return "", err
	}
	all, err := fastest(func() error {
		_, err := e.List(ctx, docker.ListOptions{Labels: []string{"figures"}})
		return err
	})
	if err != nil {
		return "", err
	}
	none, err := fastest(func() error {
		_, err := e.List(ctx, docker.ListOptions{Labels: []string{"figures"}, States: []docker.State{docker.StateExited}})
		return err
	})
	if err != nil {
		return "", err
	}
	inspects, err := fastest(func() error { return inspectAll(ctx, e, ids) })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s |",
		name, info.Version, info.APIVersion, info.StorageDriver, suite, start, millis(all), millis(none), millis(inspects)), nil
}

func fill(ctx context.Context, e *docker.Engine) ([]string, error) {
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	app, err := enginetest.BuildApp(ctx, dir)
	if err != nil {
		return nil, err
	}
	const image = "figures/app:1"
	archive, err := enginetest.AppArchive(app, image, "1")
	if err != nil {
		return nil, err
	}
	if err := e.LoadImage(ctx, archive); err != nil {
		return nil, err
	}
	ids := make([]string, many)
	for i := range ids {
		ids[i], err = e.Create(ctx, docker.CreateOptions{Name: fmt.Sprintf("figures-%d", i), Image: image, Labels: map[string]string{"figures": "1"}})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// inspectAll as a scan does it: eight at a time.
func inspectAll(ctx context.Context, e *docker.Engine, ids []string) error {
	const workers = 8
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(ids) && errs[w] == nil; i += workers {
				_, errs[w] = e.Inspect(ctx, ids[i])
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func fastest(do func() error) (time.Duration, error) {
	const tries = 5
	best := time.Duration(0)
	for range tries {
		began := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// write replaces the rows of the same names and adds the new ones at the end of the table.
func write(file string, rows []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	last := -1
	for i, line := range lines {
		if strings.HasPrefix(line, "|") {
			last = i
		}
	}
	if last < 0 {
		return fmt.Errorf("%s has no table", file)
	}
	for _, row := range rows {
		if at := slices.IndexFunc(lines, func(line string) bool { return nameOf(line) == nameOf(row) }); at >= 0 {
			lines[at] = row
			continue
		}
		last++
		lines = slices.Insert(lines, last, row)
	}
	return os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644)
}

// nameOf is the first cell of a row of the table.
func nameOf(row string) string {
	cells := strings.SplitN(row, "|", 3)
	if len(cells) < 3 || cells[0] != "" {
		return ""
	}
	return strings.TrimSpace(cells[1])
}
