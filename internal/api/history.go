package api

import (
	"context"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type historyDayJSON struct {
	From       stamp         `json:"from" doc:"its begin; it lasts 24 hours"`
	Stale      nullable[int] `json:"stale" doc:"stale instances at its end, kept ones included, by the last good scan of each host; null: no host was judged yet"`
	Removed    int           `json:"removed" doc:"instances that cleanups removed"`
	Bytes      int64         `json:"bytes" doc:"of the writable layers of these, where known; an archive may hold them until it expires"`
	Images     int           `json:"images" doc:"images that were reclaimed"`
	ImageBytes int64         `json:"image_bytes" doc:"that came back with these"`
}

type historyIn struct {
	From time.Time `query:"from" doc:"when the first day begins, such as midnight where you are; absent: so many days back that today, in UTC, is the last"`
	Days int       `query:"days" minimum:"1" maximum:"366" default:"30"`
}

// history tells day by day what was stale and what came back, from the store alone.
func (s *server) history(ctx context.Context, in *historyIn) (*out[list[historyDayJSON]], error) {
	now := time.Now()
	from := in.From
	if from.IsZero() {
		from = now.UTC().Truncate(day).AddDate(0, 0, 1-in.Days)
	}
	if from.After(now) {
		return nil, invalid("query.from", "it must not lie in the future")
	}
	if from.Before(now.Add(-oldestHistory)) {
		return nil, invalid("query.from", "it must lie within the last ten years")
	}
	// A day that has not begun has no figures.
	n := min(in.Days, int(now.Sub(from)/day)+1)
	figures, err := s.d.DB.History(ctx, from, n)
	if err != nil {
		return nil, err
	}
	items := make([]historyDayJSON, n)
	for i, f := range figures {
		items[i] = historyDayOf(from.Add(time.Duration(i)*day), f)
	}
	return answer(list[historyDayJSON]{Items: items}), nil
}

const oldestHistory = 3653 * day

func historyDayOf(from time.Time, f store.DayFigures) historyDayJSON {
	j := historyDayJSON{From: stamp(from), Removed: f.Removed, Bytes: f.Bytes, Images: f.Images, ImageBytes: f.ImageBytes}
	if f.Stale >= 0 {
		j.Stale = nullable[int]{&f.Stale}
	}
	return j
}
