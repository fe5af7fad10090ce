package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

const topEvery = 3 * time.Second

// topSort is one order of the table.
type topSort struct {
	name string
	key  byte
	// by says which of two comes first: below zero is the first.
	by func(a, b client.InstanceUsage) int
}

var topSorts = []topSort{
	{"cpu", 'c', most(func(u client.Usage) float64 { return u.CPUPercent })},
	{"memory", 'm', most(func(u client.Usage) float64 { return float64(u.MemoryBytes) })},
	{"network", 'n', most(func(u client.Usage) float64 { return u.RxRate + u.TxRate })},
	{"disk", 'd', most(func(u client.Usage) float64 { return u.ReadRate + u.WriteRate })},
	{"restarts", 'r', func(a, b client.InstanceUsage) int { return cmp.Compare(b.RestartCount, a.RestartCount) }},
	{"name", 'a', func(client.InstanceUsage, client.InstanceUsage) int { return 0 }},
}

// most puts the largest first, and what is not known last.
func most(of func(client.Usage) float64) func(a, b client.InstanceUsage) int {
	amount := func(i client.InstanceUsage) float64 {
		if i.Usage == nil {
			return -1
		}
		return of(*i.Usage)
	}
	return func(a, b client.InstanceUsage) int { return cmp.Compare(amount(b), amount(a)) }
}

func (a *app) topCommand() *cobra.Command {
	var project, stg, host, order string
	var once bool
	c := &cobra.Command{
		Use:   "top",
		Short: "What running containers use: processor, memory, network",
		Long: `Shows what the running containers use, those that use most first, and goes on until you press q. The keys c m n d
r a sort by processor, memory, network, disk, restarts and name. With --once, with -o json, or where nobody
watches, it shows the table once. 100 % is one core kept busy. Of very many containers some are a little old.`,
		Example: `  docker-watcher top
  docker-watcher top --stage shop/production --sort memory
  docker-watcher top --once -o json | jq '.items[] | {name, cpu: .usage.cpu_percent}'`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			sort, err := topSortOf(c, order)
			if err != nil {
				return err
			}
			var f client.InstanceFilter
			if f.Project, f.Stage, err = a.place(c, api, project, stg); err != nil {
				return err
			}
			if f.Host, err = a.hostID(c, api, host); err != nil {
				return err
			}
			t := &top{app: a, api: api, filter: f, sort: sort}
			if once || a.output == "json" || !a.screen.OutTerminal || !a.screen.InputTerminal {
				return t.once(c.Context())
			}
			return t.watch(c.Context())
		}),
	}
	c.Flags().StringVar(&project, "project", "", "only of this project")
	c.Flags().StringVar(&stg, "stage", "", "only of this stage (PROJECT/STAGE)")
	c.Flags().StringVar(&host, "host", "", "only on this host")
	c.Flags().StringVar(&order, "sort", "cpu", "cpu, memory, network, disk, restarts or name")
	c.Flags().BoolVar(&once, "once", false, "show it once")
	return c
}

func topSortOf(c *cobra.Command, name string) (topSort, error) {
	var names []string
	for _, s := range topSorts {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	return topSort{}, usagef(c, "--sort %q: one of %s", name, strings.Join(names, ", "))
}

// top is the table of what is used.
type top struct {
	app    *app
	api    *client.Client
	filter client.InstanceFilter
	sort   topSort
}

func (t *top) ask(ctx context.Context) ([]client.InstanceUsage, error) {
	items, _, err := everything(0, func(p client.Page) (client.List[client.InstanceUsage], error) {
		return t.api.Usage(ctx, t.filter, p)
	})
	return items, err
}

func (t *top) once(ctx context.Context) error {
	items, err := t.ask(ctx)
	if err != nil {
		return err
	}
	t.order(items)
	return t.app.show(listOf(items), func() { t.app.screen.Print(t.table(items)) })
}

func (t *top) order(items []client.InstanceUsage) {
	slices.SortStableFunc(items, func(a, b client.InstanceUsage) int {
		return cmp.Or(t.sort.by(a, b), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// seen is one answer of the service.
type seen struct {
	items []client.InstanceUsage
	err   error
	at    time.Time
}

// watch draws the table anew until a key or ctx ends it. The terminal is given back in any case.
func (t *top) watch(ctx context.Context) error {
	restore, err := t.app.rawTerminal()
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer restore()
	live := t.app.screen.Live(t.app.terminalSize)
	defer live.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys, answers := readKeys(t.app.screen.In), make(chan seen)
	go t.askOn(ctx, answers)
	last := seen{}
	for {
		t.draw(live, last)
		select {
		case <-ctx.Done():
			return nil
		case key, more := <-keys:
			if !more || key == 'q' || key == 'Q' || key == ctrlC {
				return nil
			}
			t.press(key)
		case answer := <-answers:
			if p, ok := client.AsProblem(answer.err); ok && p.Status < 500 {
				return answer.err // to ask again would change nothing
			}
			if answer.err != nil {
				answer.items, answer.at = last.items, last.at // what was seen stays on the screen
			}
			last = answer
		}
	}
}

const ctrlC = 3

func (t *top) press(key byte) {
	for _, s := range topSorts {
		if s.key == key {
			t.sort = s
		}
	}
}

// askOn asks again and again until ctx ends.
func (t *top) askOn(ctx context.Context, answers chan<- seen) {
	for {
		items, err := t.ask(ctx)
		select {
		case answers <- seen{items, err, t.app.screen.Now()}:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(topEvery):
		case <-ctx.Done():
			return
		}
	}
}

// readKeys hands on what is typed; the reading ends with the process.
func readKeys(in io.Reader) <-chan byte {
	keys := make(chan byte)
	go func() {
		defer close(keys)
		one := make([]byte, 1)
		for {
			if n, err := in.Read(one); err != nil {
				return
			} else if n == 1 {
				keys <- one[0]
			}
		}
	}()
	return keys
}

func (t *top) draw(live *screen.Live, s seen) {
	state := "asking..."
	switch {
	case s.err != nil:
		state = "cannot ask: " + screen.Printable(s.err.Error(), false)
	case !s.at.IsZero():
		state = s.at.Local().Format("15:04:05")
	}
	head := []string{
		fmt.Sprintf("%s  by %s  %s", count(len(s.items), "container"), t.sort.name, state),
		t.app.screen.Paint(screen.Cell{Text: "q quit  c processor  m memory  n network  d disk  r restarts  a name", Tone: screen.Faint}),
		"",
	}
	t.order(s.items)
	live.Draw(head, t.table(s.items))
}

func (t *top) table(items []client.InstanceUsage) screen.Table {
	table := screen.Table{Head: []string{"name", "stage", "tag", "cpu", "memory", "of", "net in/s", "net out/s", "disk in/s", "disk out/s", "processes", "restarts"}}
	if t.app.wide() {
		table.Head = append(table.Head, "id", "host", "status", "measured")
	}
	for _, i := range items {
		row := []screen.Cell{screen.Text(i.Name), screen.Text(i.Project + "/" + i.Stage), screen.Text(i.ImageTag)}
		measured := screen.Cell{Text: screen.Never, Tone: screen.Faint}
		if u := i.Usage; u != nil {
			row = append(row, cpuCell(u.CPUPercent), memoryCell(*u), screen.Text(screen.Bytes(u.MemoryLimit)))
			for _, rate := range []float64{u.RxRate, u.TxRate, u.ReadRate, u.WriteRate} {
				row = append(row, screen.Text(screen.Bytes(int64(rate))))
			}
			row = append(row, screen.Text(fmt.Sprint(u.PIDs)))
			measured = t.app.when(u.Time)
		} else {
			for range 8 {
				row = append(row, orNever(""))
			}
		}
		restarts := screen.Text(fmt.Sprint(i.RestartCount))
		if i.RestartCount > 0 {
			restarts.Tone = screen.Warn
		}
		row = append(row, restarts)
		if t.app.wide() {
			row = append(row, screen.Text(i.ID), screen.Text(i.Host), statusCell(i.Status), measured)
		}
		table.Add(row...)
	}
	return table
}

func cpuCell(percent float64) screen.Cell {
	c := screen.Text(fmt.Sprintf("%.1f %%", percent))
	if percent >= 90 {
		c.Tone = screen.Warn
	}
	return c
}

func memoryCell(u client.Usage) screen.Cell {
	c := screen.Text(screen.Bytes(u.MemoryBytes))
	if u.MemoryLimit > 0 && u.MemoryBytes > u.MemoryLimit/10*9 {
		c.Tone = screen.Bad
	}
	return c
}
