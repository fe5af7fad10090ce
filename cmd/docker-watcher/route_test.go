package main

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
)

func TestWhatARouteLeadsTo(t *testing.T) {
	for want, r := range map[string]client.Route{
		"shop/live shop-1:80":                 {Instance: "shop-1", InstanceStatus: "running"},
		"shop/live shop-1:80, stopped":        {Instance: "shop-1", InstanceStatus: "stopped"},
		"shop/live shop-1:80, missing, stale": {Instance: "shop-1", InstanceStatus: "missing", StaleSince: time.Unix(1, 0)},
		"shop/live (its instance is gone)":    {},
	} {
		r.Project, r.Stage, r.Port = "shop", "live", 80
		if got := whereTo(r); got != want {
			t.Errorf("it leads to %q, want %q", got, want)
		}
	}
}
