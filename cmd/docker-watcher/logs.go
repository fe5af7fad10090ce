package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// mostLogs is how many logs are read at once: each is a connection to the service, and through it to an engine.
const mostLogs = 32

// logsFlags are how logs are asked for and shown.
type logsFlags struct {
	client.LogOptions
	since, until   string
	stdout, stderr bool
	project, stage string
	grep           string
	raw            bool
}

func (a *app) logsCommand() *cobra.Command {
	var f logsFlags
	c := &cobra.Command{
		Use:   "logs [INSTANCE...]",
		Short: "The log of containers",
		Long: `Writes the log of a container to standard output; -f follows it, through restarts of the container and breaks of
the connection, until it ends or you interrupt. Of several containers, or with --stage, each line begins with the
name of its container. --search leaves out the lines that do not hold a text, --grep those that do not match a
regular expression; how many lines were looked at is told at the end. If lines come faster than they can be
shown, -f skips some and says how many. What would steer your terminal is left out of the lines, colours are
not; --raw leaves it in. With -o json each line is a JSON object.`,
		Example: `  docker-watcher logs shop-preview-a1b2c3 --tail 100
  docker-watcher logs -f --since 10m --stderr shop-production-d4e5f6
  docker-watcher logs -f --stage shop/production --grep 'status=5\d\d'`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if err := f.complete(c, a.screen.Now()); err != nil {
				return err
			}
			which, err := a.logged(c, api, args, f)
			if err != nil {
				return err
			}
			return a.showLogs(c.Context(), api, which, f)
		}),
	}
	c.Flags().BoolVarP(&f.Follow, "follow", "f", false, "follow it")
	c.Flags().IntVarP(&f.Tail, "tail", "n", 0, "look at the last so many lines only (0: all)")
	c.Flags().StringVar(&f.since, "since", "", "only what is younger, such as 10m or 2d, or than a time such as 2026-11-23T10:00:00Z")
	c.Flags().StringVar(&f.until, "until", "", "only what is older; not with -f")
	c.Flags().BoolVarP(&f.Timestamps, "timestamps", "t", false, "begin each line with its time")
	c.Flags().BoolVar(&f.stdout, "stdout", false, "only standard output")
	c.Flags().BoolVar(&f.stderr, "stderr", false, "only standard error")
	c.Flags().StringVar(&f.Search, "search", "", "only lines that hold this text")
	c.Flags().StringVar(&f.grep, "grep", "", "only lines that match this regular expression (RE2)")
	c.Flags().BoolVar(&f.MatchCase, "match-case", false, "upper and lower case differ")
	c.Flags().StringVar(&f.project, "project", "", "of all containers that run in this project")
	c.Flags().StringVar(&f.stage, "stage", "", "of all containers that run in this stage (PROJECT/STAGE)")
	c.Flags().BoolVar(&f.raw, "raw", false, "write lines to a terminal as they are")
	return c
}

// complete works out what the flags come to.
func (f *logsFlags) complete(c *cobra.Command, now time.Time) (err error) {
	if f.Since, err = past(f.since, now); err != nil {
		return usagef(c, "--since: %w", err)
	}
	if f.Until, err = past(f.until, now); err != nil {
		return usagef(c, "--until: %w", err)
	}
	switch {
	case f.Follow && f.until != "":
		return usagef(c, "--until: what is followed has no end yet")
	case f.Search != "" && f.grep != "":
		return usagef(c, "--search or --grep, not both")
	case f.grep != "":
		f.Search, f.Regex = f.grep, true
	}
	switch {
	case f.stdout && !f.stderr:
		f.Stream = "stdout"
	case f.stderr && !f.stdout:
		f.Stream = "stderr"
	}
	return nil
}

// past reads a span before now or a time; empty is no time.
func past(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	d, err := span(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w, or a time such as 2026-11-23T10:00:00Z", err)
	}
	return now.Add(-d), nil
}

// logged finds the containers whose logs are asked for.
func (a *app) logged(c *cobra.Command, api *client.Client, names []string, f logsFlags) ([]client.Instance, error) {
	if len(names) == 0 && f.stage == "" && f.project == "" {
		return nil, usagef(c, "say which: INSTANCE..., --stage or --project; docker-watcher ps lists their names")
	}
	var which []client.Instance
	for _, name := range names {
		i, err := a.instance(c.Context(), api, name)
		if err != nil {
			return nil, err
		}
		which = append(which, i)
	}
	if f.stage != "" || f.project != "" {
		found, err := a.running(c, api, f.project, f.stage)
		if err != nil {
			return nil, err
		}
		which = append(which, found...)
	}
	if len(which) > mostLogs {
		return nil, usagef(c, "these are %d containers; at most %d at once", len(which), mostLogs)
	}
	return which, nil
}

// running lists the containers that run in a stage or a project.
func (a *app) running(c *cobra.Command, api *client.Client, project, stage string) ([]client.Instance, error) {
	filter := client.InstanceFilter{Statuses: []string{"running", "restarting", "paused"}}
	var err error
	if filter.Project, filter.Stage, err = a.place(c, api, project, stage); err != nil {
		return nil, err
	}
	found, _, err := everything(0, func(p client.Page) (client.List[client.Instance], error) {
		return api.Instances(c.Context(), filter, p)
	})
	if err == nil && len(found) == 0 {
		return nil, &notFoundError{"nothing runs there", "docker-watcher ps lists what there is"}
	}
	return found, err
}

// showLogs reads logs: those that are followed all at once, the others one after another.
func (a *app) showLogs(ctx context.Context, api *client.Client, which []client.Instance, f logsFlags) error {
	p := &logPrinter{app: a, flags: f, many: len(which) > 1}
	for _, i := range which {
		p.width = max(p.width, len(i.Name))
	}
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(1)
	if f.Follow {
		group.SetLimit(mostLogs)
	}
	for n, i := range which {
		group.Go(func() error { return p.read(each, api, i, n) })
	}
	err := group.Wait()
	if f.Search != "" && (err == nil || interrupted(ctx)) {
		p.note("", fmt.Sprintf("%d of %s match", p.tally.Matched, count(int(p.tally.Looked), "line")))
	}
	if f.Follow && interrupted(ctx) {
		return nil
	}
	return err
}

// logPrinter writes the lines of several logs, one at a time.
type logPrinter struct {
	app   *app
	flags logsFlags
	many  bool
	width int // of the longest name
	mu    sync.Mutex
	tally client.LogTally
}

func (p *logPrinter) read(ctx context.Context, api *client.Client, i client.Instance, n int) error {
	before := p.prefix(i.Name, n)
	last, tally, err := api.ReadLog(ctx, i.ID, p.flags.LogOptions, client.LogHandler{
		Line: func(l client.LogLine) error { return p.line(before, i.Name, l) },
		Turn: func(t client.LogTurn) { p.note(i.Name, t.Text) },
		Disconnected: func(err error) {
			p.note(i.Name, fmt.Sprintf("the connection broke off (%v); connecting again", err))
		},
	})
	p.mu.Lock()
	p.tally.Looked += tally.Looked
	p.tally.Matched += tally.Matched
	p.mu.Unlock()
	if err != nil && p.many && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", i.Name, err)
	}
	if p.flags.Follow && err == nil {
		p.note(i.Name, last.Text)
	}
	return err
}

// prefixTones tell containers apart.
var prefixTones = []screen.Tone{screen.Good, screen.Warn, screen.Blue, screen.Purple, screen.Cyan, screen.Bad}

func (p *logPrinter) prefix(name string, n int) string {
	if !p.many {
		return ""
	}
	return p.app.screen.Paint(screen.Cell{Text: name, Tone: prefixTones[n%len(prefixTones)]}) + strings.Repeat(" ", p.width-len(name)) + " | "
}

func (p *logPrinter) line(before, name string, l client.LogLine) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.app.screen
	if p.app.output == "json" {
		enc := json.NewEncoder(s.Out)
		enc.SetEscapeHTML(false)
		return enc.Encode(struct {
			Instance string `json:"instance"`
			client.LogLine
		}{name, l})
	}
	text := l.Text
	if s.OutTerminal && !p.flags.raw {
		text = screen.Printable(text, s.Colour)
	}
	if l.Cut > 0 {
		text += " " + s.Paint(screen.Cell{Text: fmt.Sprintf("[%s more]", screen.Bytes(l.Cut)), Tone: screen.Faint})
	}
	if p.flags.Timestamps {
		text = screen.Exact(l.Time) + " " + text
	}
	s.Printf("%s%s\n", before, text)
	return s.Failed()
}

// note tells what is not a line of the log.
func (p *logPrinter) note(name, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.many && name != "" {
		text = name + ": " + text
	}
	p.app.screen.Notef("%s\n", screen.Tame(text))
}
