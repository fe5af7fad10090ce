// Package plane runs the data plane, which answers requests, as a process of its own, and is how the daemon feeds it from another.
//
// A Plane has the listeners, the proxy that answers on them, and a socket in the file system at which it is told what to answer by. It
// serves the last good table of its disk at once and needs no daemon for it. A Client is in the daemon: it gives tables, asks how things
// are, hears of targets that flip or cannot be dialled, and comes back by itself when the plane was away.
//
// A new plane takes the place of a running one by Take: the listeners are handed over by the socket, the former one takes no
// connection from the moment on at which the new one says that it serves, and ends when nothing is open on it any more. Until then the new
// one tells it of each table, before the daemon hears that it is served: who comes on a connection that was kept open is led nowhere else
// than who comes anew. A new one that does not come so far changes nothing.
//
// The two may be of different versions: see Protocol.
package plane

import (
	"encoding/json"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// Protocol is the number of the language that both sides speak, and the start of each path. What is added to it is left out where it is not
// used, so that the number stays: a plane refuses the fields of a table that it does not know, and says that it has to be upgraded.
const Protocol = 1

const (
	pathHello   = "/v1/hello"
	pathTable   = "/v1/table"
	pathReports = "/v1/reports"
	pathDrained = "/v1/drained"
	pathStream  = "/v1/stream"
	pathTake    = "/v1/take"
	pathCerts   = "/v1/certificates"
	pathRenew   = "/v1/certificates/renew"
	pathCounts  = "/v1/counts"

	pathTakeCounts = "/v1/counts/take"
)

// Hello is what a plane says of itself.
type Hello struct {
	Protocol  int        `json:"protocol"`
	Version   string     `json:"version"`
	PID       int        `json:"pid"`
	Started   time.Time  `json:"started"`
	Hash      string     `json:"hash,omitempty"` // of the table in force; empty: there is none
	Listeners []Endpoint `json:"listeners"`
	Folder    string     `json:"folder,omitempty"` // of the certificates; empty: nothing is served over TLS
}

// Endpoint is a listener: what it is for, as it was asked for, and where it is.
type Endpoint struct {
	Name  string `json:"name"`  // http, https
	Asked string `json:"asked"` // such as :80
	At    string `json:"at"`    // such as [::]:80
}

// served is the table in force.
type served struct {
	Table json.RawMessage `json:"table"`
	Hash  string          `json:"hash"`
}

// drained tells whether nothing is open on what was asked for.
type drained struct {
	Drained bool `json:"drained"`
}

// news is one line of the stream; the first one has Hello, and one without anything says that the plane lives.
type news struct {
	Hello  *Hello      `json:"hello,omitempty"`
	Flip   *proxy.Flip `json:"flip,omitempty"`
	Missed string      `json:"missed,omitempty"`

	Certificate *certs.Event `json:"certificate,omitempty"`
}

// fault is how a plane says no.
type fault struct {
	Error    string       `json:"error"`
	Fields   []wrongField `json:"fields,omitempty"`
	Unknown  bool         `json:"unknown,omitempty"` // certs.ErrUnknown
	Left     bool         `json:"left,omitempty"`    // another plane has taken the place: ask that one
	Version  string       `json:"version"`
	Protocol int          `json:"protocol"`
}

type wrongField struct {
	Rule   string `json:"rule"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Taken  bool   `json:"taken,omitempty"`
}

// Timeouts and beats of both sides.
const (
	beat       = 5 * time.Second  // between two lines of the stream
	silence    = 15 * time.Second // after which the other one is taken for hung
	callLimit  = 10 * time.Second // of a call that does not wait for anything
	longestAsk = 20 * time.Second // that one call waits for requests to end
	tableLimit = 64 << 20         // bytes
)
