package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// listOf is a list as the API answers it.
func listOf[T any](items []T) client.List[T] {
	if items == nil {
		items = []T{}
	}
	return client.List[T]{Items: items}
}

// when shows a moment as people say it, or exactly with --exact and -o wide.
func (a *app) when(t time.Time) screen.Cell {
	if a.exact || a.wide() {
		return screen.Text(screen.Exact(t))
	}
	return screen.Text(screen.Ago(t, a.screen.Now()))
}

// lastAlive says as well when the truth may lie further back.
func (a *app) lastAlive(t time.Time, upperBound bool) screen.Cell {
	c := a.when(t)
	if upperBound && !t.IsZero() {
		c.Text += " or earlier"
	}
	return c
}

func size(n *int64) screen.Cell {
	if n == nil {
		return screen.Cell{Text: screen.Never, Tone: screen.Faint}
	}
	return screen.Text(screen.Bytes(*n))
}

func orNever(text string) screen.Cell {
	if text == "" {
		return screen.Cell{Text: screen.Never, Tone: screen.Faint}
	}
	return screen.Text(text)
}

func statusCell(status string) screen.Cell {
	tone := screen.Plain
	switch status {
	case "running":
		tone = screen.Good
	case "failed", "dead", "missing":
		tone = screen.Bad
	case "restarting", "paused", "pulling", "starting", "pending", "removing":
		tone = screen.Warn
	case "stopped":
		tone = screen.Faint
	}
	return screen.Cell{Text: status, Tone: tone}
}

// protection says what keeps a container from every cleanup.
func (a *app) protection(p *client.Protection) string {
	if p == nil {
		return ""
	}
	text := strings.ReplaceAll(p.Kind, "_", " ")
	if p.By != "" {
		text += " by " + p.By
	}
	if !p.Until.IsZero() {
		text += " until " + a.date(p.Until).Text
	}
	return text
}

var spanForm = regexp.MustCompile(`^([0-9]+)d$`)

// span reads 90s, 36h or 7d.
func span(text string) (time.Duration, error) {
	if m := spanForm.FindStringSubmatch(text); m != nil {
		days, err := strconv.Atoi(m[1])
		if err != nil || days > 36500 {
			return 0, fmt.Errorf("%q is too long", text)
		}
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no span of time: such as 90s, 36h or 7d", text)
	}
	return d, nil
}
