package dockertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// encodedRow is a row of the list, split where the text with the age goes.
type encodedRow struct{ before, after []byte }

// statusMark stands for the text with the age while a row is encoded.
const statusMark = "@age@"

type listRow struct {
	ID         string `json:"Id"`
	Names      []string
	Image      string
	ImageID    string
	Command    string
	Created    int64
	Ports      []map[string]any
	SizeRw     *int64 `json:",omitempty"`
	SizeRootFs *int64 `json:",omitempty"`
	Labels     map[string]string
	State      string
	Status     string
	HostConfig struct{ NetworkMode string }
	Networks   struct {
		Networks map[string]any
	} `json:"NetworkSettings"`
	Mounts []map[string]any
}

// serveList answers GET /containers/json. Rows are encoded once and kept until they change, so that
// thousands of them cost little.
func (e *Engine) serveList(w http.ResponseWriter, r *request) {
	if err := r.filters.checkContainers(e.podman()); err != nil {
		status := http.StatusBadRequest
		if e.podman() {
			status = http.StatusInternalServerError
		}
		e.fail(w, status, err.Error())
		return
	}
	all, size := r.flag("all") || len(r.filters["status"]) > 0, r.flag("size")
	limit, err := strconv.Atoi(r.query.Get("limit"))
	if err != nil || limit <= 0 {
		limit = -1
	}
	rows := 0
	var out bytes.Buffer
	out.WriteByte('[')
	e.mu.Lock()
	now := e.now()
	for _, c := range e.newestFirst() {
		if limit == 0 {
			break
		}
		if !all && !c.processLives() && c.state != Restarting || !r.filters.passContainer(c) {
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		c.writeRow(&out, now, size)
		limit--
		rows++
	}
	cost := time.Duration(rows) * e.o.RowCost
	e.mu.Unlock()
	if cost > 0 && !sleep(r, cost) {
		return
	}
	out.WriteString("]\n")
	e.answer(w, http.StatusOK, out.Bytes())
}

func (c *Container) writeRow(out *bytes.Buffer, now time.Time, size bool) {
	row := c.row
	if row == nil || size {
		row = c.encodeRow(size)
		if !size {
			c.row = row
		}
	}
	out.Write(row.before)
	out.WriteString(c.statusText(now))
	out.Write(row.after)
}

func (c *Container) encodeRow(size bool) *encodedRow {
	row := listRow{
		ID: c.ID, Names: []string{"/" + c.name}, Image: c.imageRef, ImageID: c.image.id, Command: c.commandText(),
		Created: c.created.Unix(), Ports: []map[string]any{}, Labels: c.labels, State: c.listState(), Status: statusMark,
		Mounts: []map[string]any{},
	}
	if row.Labels == nil {
		row.Labels = map[string]string{}
	}
	row.HostConfig.NetworkMode = "default"
	row.Networks.Networks = c.endpoints()
	for _, p := range c.ports {
		row.Ports = append(row.Ports, p.row(c.e.o.podman()))
	}
	for _, m := range c.mounts {
		row.Mounts = append(row.Mounts, m.encode(c.e.o.DataRoot))
	}
	if size {
		root := c.image.size + c.sizeRw
		row.SizeRw, row.SizeRootFs = &c.sizeRw, &root
	}
	text, err := json.Marshal(row)
	if err != nil {
		panic(err)
	}
	before, after, ok := bytes.Cut(text, []byte(statusMark))
	if !ok {
		panic("dockertest: a row without its status")
	}
	return &encodedRow{before: before, after: after}
}

// listState is the state as the list says it. Podman has a word of its own for a crash loop,
// and Docker 20.10 calls a container that it failed to remove "removing".
func (c *Container) listState() string {
	switch {
	case c.state == Restarting && c.e.o.podman():
		return "stopped"
	case c.state == Dead && minor(c.e.o.APIVersion) <= 41:
		return Removing
	}
	return c.state
}

// statusText is the sentence with the age, for people.
func (c *Container) statusText(now time.Time) string {
	switch c.listState() {
	case Created:
		return "Created"
	case Dead:
		return "Dead"
	case Removing:
		return "Removal In Progress"
	case Running:
		up := "Up " + ago(now.Sub(c.started))
		if c.health == "" {
			return up
		}
		if c.health == "starting" {
			return up + " (health: starting)"
		}
		return up + " (" + c.health + ")"
	case Paused:
		return "Up " + ago(now.Sub(c.started)) + " (Paused)"
	case Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", c.exitCode, ago(now.Sub(c.finished)))
	}
	return fmt.Sprintf("Exited (%d) %s ago", c.exitCode, ago(now.Sub(c.finished)))
}

// ago is a length of time in words, as rough as the engine's.
func ago(d time.Duration) string {
	hours := int(d.Hours())
	switch {
	case d < time.Second:
		return "Less than a second"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " seconds"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " minutes"
	case hours < 48:
		return strconv.Itoa(hours) + " hours"
	case hours < 24*14:
		return strconv.Itoa(hours/24) + " days"
	case hours < 24*60:
		return strconv.Itoa(hours/24/7) + " weeks"
	case hours < 24*365*2:
		return strconv.Itoa(hours/24/30) + " months"
	}
	return strconv.Itoa(hours/24/365) + " years"
}
