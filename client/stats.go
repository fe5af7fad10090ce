package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Usage is what an instance uses at a moment.
type Usage struct {
	Time        time.Time `json:"time,omitzero"` // zero: it does not run
	CPUPercent  float64   `json:"cpu_percent"`   // 100 is one core kept busy
	MemoryBytes int64     `json:"memory_bytes"`
	MemoryLimit int64     `json:"memory_limit"`
	RxBytes     int64     `json:"rx_bytes"` // since it started
	TxBytes     int64     `json:"tx_bytes"`
	ReadBytes   int64     `json:"read_bytes"`
	WriteBytes  int64     `json:"write_bytes"`
	RxRate      float64   `json:"rx_rate"` // bytes a second
	TxRate      float64   `json:"tx_rate"`
	ReadRate    float64   `json:"read_rate"`
	WriteRate   float64   `json:"write_rate"`
	PIDs        int       `json:"pids"`
}

// InstanceUsage is a running instance and what it uses; nil: not known yet.
type InstanceUsage struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Project      string    `json:"project"`
	Stage        string    `json:"stage"`
	HostID       string    `json:"host_id"`
	Host         string    `json:"host"`
	ImageTag     string    `json:"image_tag"`
	Status       string    `json:"status"`
	StartedAt    time.Time `json:"started_at,omitzero"`
	RestartCount int       `json:"restart_count"`
	Usage        *Usage    `json:"usage,omitempty"`
}

// UsageSample is one point of the last hour; rates are those since the one before.
type UsageSample struct {
	Time        time.Time `json:"time"`
	CPUPercent  float64   `json:"cpu_percent"`
	MemoryBytes int64     `json:"memory_bytes"`
	MemoryLimit int64     `json:"memory_limit"`
	RxRate      float64   `json:"rx_rate"`
	TxRate      float64   `json:"tx_rate"`
	ReadRate    float64   `json:"read_rate"`
	WriteRate   float64   `json:"write_rate"`
}

// UsageHistory is the last hour of an instance, oldest first.
type UsageHistory struct {
	Since       time.Time     `json:"since"` // nothing was measured before
	StepSeconds int           `json:"step_seconds"`
	Items       []UsageSample `json:"items"`
}

// InstanceUsage returns what an instance uses now.
func (c *Client) InstanceUsage(ctx context.Context, id string) (Usage, error) {
	var u Usage
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/instances/" + part(id) + "/stats"}, &u)
	return u, err
}

// FollowUsage calls sample every two seconds, and gap with what is wrong when the engine could not be asked, until ctx
// ends, sample returns an error or the connection breaks; the error tells which.
func (c *Client) FollowUsage(ctx context.Context, id string, sample func(Usage) error, gap func(string)) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := c.send(ctx, call{
		method: http.MethodGet, path: "/api/instances/" + part(id) + "/stats", header: http.Header{"Accept": {"text/event-stream"}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	return readStream(res.Body, func(m message) error {
		dead.Reset(silence)
		switch m.event {
		case "usage":
			var u Usage
			if err := json.Unmarshal([]byte(m.data), &u); err != nil {
				return fmt.Errorf("read a sample: %w", err)
			}
			return sample(u)
		case "gap":
			var g struct {
				Text string `json:"text"`
			}
			if err := json.Unmarshal([]byte(m.data), &g); err != nil {
				return fmt.Errorf("read a gap: %w", err)
			}
			gap(g.Text)
		}
		return nil
	})
}

// UsageHistory returns the last hour of an instance.
func (c *Client) UsageHistory(ctx context.Context, id string) (UsageHistory, error) {
	var h UsageHistory
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/instances/" + part(id) + "/stats/history"}, &h)
	return h, err
}

// Usage lists one page of the running instances with what they use; of the filter, project, stage and host count.
func (c *Client) Usage(ctx context.Context, f InstanceFilter, p Page) (List[InstanceUsage], error) {
	q := url.Values{}
	p.addTo(q)
	setText(q, "project", f.Project)
	setText(q, "stage", f.Stage)
	setText(q, "host", f.Host)
	var l List[InstanceUsage]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/stats", query: q}, &l)
	return l, err
}
