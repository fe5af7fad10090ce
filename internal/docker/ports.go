package docker

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"strings"
)

// portRow is what a list tells of the ports that a container holds.
type portRow struct {
	ID    string `json:"Id"`
	Names []string
	Ports []struct {
		IP         string
		PublicPort int
		Type       string
	}
}

// PublishedPorts are the ports of the host that containers hold, whoever's: "127.0.0.1:8080/tcp" leads to the name of
// the container. All addresses is 0.0.0.0 or [::]. Only what runs holds a port.
func (e *Engine) PublishedPorts(ctx context.Context) (map[string]string, error) {
	return call(ctx, e, "list published ports", listTimeout, func(ctx context.Context, s *session) (map[string]string, error) {
		from, err := e.get(ctx, s, "/containers/json", map[string][]string{}, nil)
		if err != nil {
			return nil, err
		}
		defer func() { _ = from.Close() }() // all of it was read, or the read's error is told
		var rows []portRow
		if err := json.NewDecoder(from).Decode(&rows); err != nil {
			return nil, err
		}
		held := map[string]string{}
		for _, row := range rows {
			row.addTo(held)
		}
		return held, nil
	})
}

func (r portRow) addTo(held map[string]string) {
	name := r.ID
	if len(r.Names) > 0 {
		name = strings.TrimPrefix(r.Names[0], "/")
	}
	for _, p := range r.Ports {
		if p.PublicPort == 0 {
			continue
		}
		if p.IP == "" {
			p.IP = "0.0.0.0" // podman's way to say all
		}
		held[net.JoinHostPort(p.IP, strconv.Itoa(p.PublicPort))+"/"+p.Type] = name
	}
}
