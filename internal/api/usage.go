package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/usage"
)

type usageJSON struct {
	Time        moment  `json:"time" doc:"of the sample, by the engine's clock; null: it does not run"`
	CPUPercent  float64 `json:"cpu_percent" doc:"100 is one core kept busy"`
	MemoryBytes int64   `json:"memory_bytes" doc:"without file cache that the kernel can take back"`
	MemoryLimit int64   `json:"memory_limit" doc:"of the container, else of its host"`
	RxBytes     int64   `json:"rx_bytes" doc:"received since it started"`
	TxBytes     int64   `json:"tx_bytes" doc:"sent since it started"`
	ReadBytes   int64   `json:"read_bytes" doc:"read from block devices since it started"`
	WriteBytes  int64   `json:"write_bytes" doc:"written to block devices since it started"`
	RxRate      float64 `json:"rx_rate" doc:"bytes a second now"`
	TxRate      float64 `json:"tx_rate"`
	ReadRate    float64 `json:"read_rate"`
	WriteRate   float64 `json:"write_rate"`
	PIDs        int     `json:"pids"`
}

func usageOf(r usage.Reading) usageJSON {
	return usageJSON{
		Time: moment(r.Time), CPUPercent: round(r.CPUPercent), MemoryBytes: r.MemoryBytes, MemoryLimit: r.MemoryLimit,
		RxBytes: r.RxBytes, TxBytes: r.TxBytes, ReadBytes: r.ReadBytes, WriteBytes: r.WriteBytes,
		RxRate: round(r.RxRate), TxRate: round(r.TxRate), ReadRate: round(r.ReadRate), WriteRate: round(r.WriteRate), PIDs: r.PIDs,
	}
}

// round leaves two decimals, which is more than a sample is worth.
func round(f float64) float64 { return float64(int64(f*100+0.5)) / 100 }

// usage answers what an instance uses: once, or to whoever accepts text/event-stream as it goes on, a message "usage" every
// two seconds. The first sample of an instance takes a second.
func (s *server) usage(ctx context.Context, in *ByID) (*streamOut, error) {
	i, err := s.measured(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	now, err := s.d.Meter.Look(ctx, i)
	if err != nil {
		return nil, err
	}
	return &streamOut{Body: func(hc huma.Context) {
		if strings.Contains(hc.Header("Accept"), "text/event-stream") {
			s.streamUsage(hc, i, now)
			return
		}
		writeJSON(hc, usageOf(now))
	}}, nil
}

func (s *server) measured(ctx context.Context, id string) (store.RunningInstance, error) {
	v, err := s.d.DB.Instance(ctx, id)
	if err != nil {
		return store.RunningInstance{}, err
	}
	if v.ContainerID == "" {
		return store.RunningInstance{}, fmt.Errorf("%s has no container: %w", v.Name, docker.ErrNotFound)
	}
	return measuredOf(v), nil
}

func measuredOf(v store.InstanceView) store.RunningInstance {
	return store.RunningInstance{ID: v.ID, HostID: v.HostID, ContainerID: v.ContainerID}
}

const usageEvery = 2 * time.Second

// gapJSON is a message "gap": what it uses could not be asked now.
type gapJSON struct {
	Text string `json:"text"`
}

func (s *server) streamUsage(hc huma.Context, i store.RunningInstance, now usage.Reading) {
	s.stream(hc, "stream of what an instance uses", func(ctx context.Context, f *feed) error {
		if err := f.message("", "usage", usageOf(now)); err != nil {
			return err
		}
		tick, beat := time.NewTicker(usageEvery), time.NewTicker(events.Heartbeat)
		defer tick.Stop()
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
				if err := f.beat(); err != nil {
					return err
				}
			case <-tick.C:
				if err := s.tellUsage(ctx, f, i); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
}

// tellUsage sends one sample. An engine that does not answer is a gap in the stream and not its end.
func (s *server) tellUsage(ctx context.Context, f *feed, i store.RunningInstance) error {
	r, err := s.d.Meter.Look(ctx, i)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return f.message("", "gap", gapJSON{problemOf(ctx, s.log, err).Detail})
	}
	return f.message("", "usage", usageOf(r))
}

type usageHistoryJSON struct {
	Since       stamp             `json:"since" doc:"nothing was measured before: the daemon began then"`
	StepSeconds int               `json:"step_seconds" doc:"between two samples while nobody looks: more where very many run"`
	Items       []usageSampleJSON `json:"items" nullable:"false" doc:"of the last hour, oldest first; where a host could not be asked there is a gap"`
}

type usageSampleJSON struct {
	Time        stamp   `json:"time"`
	CPUPercent  float64 `json:"cpu_percent"`
	MemoryBytes int64   `json:"memory_bytes"`
	MemoryLimit int64   `json:"memory_limit"`
	RxRate      float64 `json:"rx_rate" doc:"bytes a second since the sample before"`
	TxRate      float64 `json:"tx_rate"`
	ReadRate    float64 `json:"read_rate"`
	WriteRate   float64 `json:"write_rate"`
}

// usageHistory answers the last hour of an instance.
func (s *server) usageHistory(ctx context.Context, in *ByID) (*out[usageHistoryJSON], error) {
	v, err := s.d.DB.Instance(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if engine, err := s.d.Fleet.Engine(v.HostID); err == nil {
		now = engine.Now() // its samples are by its clock
	}
	h := s.d.Meter.History(v.ID, now)
	j := usageHistoryJSON{Since: stamp(h.Since), StepSeconds: int(h.Step / time.Second), Items: make([]usageSampleJSON, 0, len(h.Samples))}
	for _, p := range h.Samples {
		j.Items = append(j.Items, usageSampleJSON{
			Time: stamp(p.Time()), CPUPercent: round(float64(p.CPUPercent)), MemoryBytes: int64(p.MemoryBytes), MemoryLimit: p.MemoryLimit(),
			RxRate: round(float64(p.RxRate)), TxRate: round(float64(p.TxRate)), ReadRate: round(float64(p.ReadRate)), WriteRate: round(float64(p.WriteRate)),
		})
	}
	return answer(j), nil
}

type listUsageIn struct {
	PageQuery
	Project string `query:"project" maxLength:"100" doc:"id or name"`
	Stage   string `query:"stage" maxLength:"100" doc:"id, or name together with project"`
	Host    string `query:"host" maxLength:"100" doc:"id"`
}

type instanceUsageJSON struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Project      string     `json:"project"`
	Stage        string     `json:"stage"`
	HostID       string     `json:"host_id"`
	Host         string     `json:"host"`
	ImageTag     string     `json:"image_tag"`
	Status       string     `json:"status"`
	StartedAt    moment     `json:"started_at"`
	RestartCount int        `json:"restart_count"`
	Usage        *usageJSON `json:"usage,omitempty" doc:"absent: not known (yet); of very many some are a little old, as their time tells"`
}

// listUsage answers what the running instances use. A call asks engines about so many only; see usage.Survey.
func (s *server) listUsage(ctx context.Context, in *listUsageIn) (*out[list[instanceUsageJSON]], error) {
	f := store.InstanceFilter{HostID: in.Host, Among: visible(ctx), Statuses: []store.Status{store.StatusRunning, store.StatusRestarting, store.StatusPaused}}
	var err error
	if f.ProjectID, err = s.projectFilter(ctx, "query.project", in.Project); err != nil {
		return nil, err
	}
	if f.StageID, err = s.stageFilter(ctx, "query.stage", f.ProjectID, in.Stage); err != nil {
		return nil, err
	}
	views, next, err := s.d.DB.Instances(ctx, f, in.page())
	if err != nil {
		return nil, err
	}
	var those []store.RunningInstance
	for _, v := range views {
		if v.ContainerID != "" {
			those = append(those, measuredOf(v))
		}
	}
	found := s.d.Meter.Survey(ctx, those)
	return answer(listOf(views, next, func(v store.InstanceView) instanceUsageJSON {
		j := instanceUsageJSON{
			ID: v.ID, Name: v.Name, Project: v.Project, Stage: v.Stage, HostID: v.HostID, Host: v.Host, ImageTag: v.ImageTag,
			Status: string(v.Status), StartedAt: moment(v.StartedAt), RestartCount: v.RestartCount,
		}
		if r, known := found[v.ID]; known {
			u := usageOf(r)
			j.Usage = &u
		}
		return j
	})), nil
}
