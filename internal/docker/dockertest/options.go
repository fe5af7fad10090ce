package dockertest

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Flavour is the make of an engine where it changes what containers look like.
type Flavour string

// The flavours. Podman's two generations tell a reboot differently.
const (
	Docker  Flavour = "docker"
	Podman4 Flavour = "podman-4"
	Podman5 Flavour = "podman-5"
)

// Options are the make and the identity of an engine. The zero value is Docker20.
type Options struct {
	Flavour       Flavour
	Version       string
	APIVersion    string // the newest that it speaks
	MinAPIVersion string // older requests are refused with 400
	EngineID      string
	Name          string
	DataRoot      string
	LiveRestore   bool
	EventBuffer   int    // events that a slow reader may lag behind before it silently loses some; default 1024
	ContainerIP   string // address of every container; empty: one each on 172.17.0.0/16
	Free          string // what its storage driver tells of the room that is left, such as "1.5 GB"; empty: nothing, as overlay2
	// RowCost is what a real engine works on each row of a list (Docker 20.10: 0.11 to 0.2 ms, with a
	// containerd store 1 to 3 ms); a pretended one needs next to nothing.
	RowCost time.Duration
}

// Docker20 is Docker 20.10 of Debian 12.
func Docker20() Options {
	return Options{Flavour: Docker, Version: "20.10.24+dfsg1", APIVersion: "1.41", MinAPIVersion: "1.12"}
}

// Docker28 is the last engine with status, id and from in its events.
func Docker28() Options {
	return Options{Flavour: Docker, Version: "28.5.2", APIVersion: "1.51", MinAPIVersion: "1.24"}
}

// Docker29 refuses API versions below 1.44 and sends only Action and Actor in events.
func Docker29() Options {
	return Options{Flavour: Docker, Version: "29.0.0", APIVersion: "1.52", MinAPIVersion: "1.44"}
}

// DockerNewest speaks the newest API that the client knows.
func DockerNewest() Options {
	return Options{Flavour: Docker, Version: "library-import", APIVersion: "1.56", MinAPIVersion: "1.40"}
}

// Podman43 is the Docker API of podman 4.3 in Debian 12.
func Podman43() Options {
	return Options{Flavour: Podman4, Version: "4.3.1", APIVersion: "1.41", MinAPIVersion: "1.24"}
}

// Podman54 is the Docker API of podman 5.4 in Debian 13.
func Podman54() Options {
	return Options{Flavour: Podman5, Version: "5.4.2", APIVersion: "1.41", MinAPIVersion: "1.24"}
}

func (o Options) withDefaults() Options {
	d := Docker20()
	o.Flavour = cmp.Or(o.Flavour, d.Flavour)
	o.Version = cmp.Or(o.Version, d.Version)
	o.APIVersion = cmp.Or(o.APIVersion, d.APIVersion)
	o.MinAPIVersion = cmp.Or(o.MinAPIVersion, "1.12")
	o.EngineID = cmp.Or(o.EngineID, "PRET:ENDE:NGIN:E000:0000:0000:0000:0000:0000:0000:0000:0001")
	o.Name = cmp.Or(o.Name, "pretend")
	o.DataRoot = cmp.Or(o.DataRoot, "/var/lib/docker")
	o.EventBuffer = cmp.Or(o.EventBuffer, 1024)
	return o
}

func (o Options) podman() bool { return o.Flavour == Podman4 || o.Flavour == Podman5 }

// defaultNetwork is where containers are that ask for none.
func (o Options) defaultNetwork() string {
	if o.podman() {
		return "podman"
	}
	return "bridge"
}

// minor is the second number of an API version: 41 of "1.41"; -1 when it is none.
func minor(version string) int {
	major, rest, ok := strings.Cut(version, ".")
	if !ok || major != "1" {
		return -1
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return -1
	}
	return n
}

// Flavour is the make of the engine.
func (e *Engine) Flavour() Flavour {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.o.Flavour
}
