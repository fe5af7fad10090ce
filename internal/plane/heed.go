package plane

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// answerLink does what the plane that has taken the place asks for, until one of both ends.
func (p *Plane) answerLink(conn *net.UnixConn, in *bufio.Reader) error {
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		var answer string
		if prefix, ok := strings.CutPrefix(line, lineOpen); ok {
			answer = strconv.Itoa(p.openOn(prefix))
		} else if table, ok := strings.CutPrefix(line, lineTable); ok {
			p.heed(table)
			answer = lineFollowed
		} else {
			return fmt.Errorf("it says %.20q, which is not understood", line)
		}
		if _, err := fmt.Fprintln(conn, answer); err != nil {
			return err
		}
	}
}

// heed has who is answered here still be answered by a table of the plane that has taken the place, here and in the planes before. A table
// that this one does not understand or cannot serve is followed by answering nobody.
func (p *Plane) heed(told string) {
	millis, text, _ := strings.Cut(told, " ")
	limit, err := strconv.Atoi(millis)
	var t proxy.Table
	if err == nil {
		t, err = proxy.ReadTable([]byte(text))
	}
	if err == nil {
		_, err = p.proxy.Apply(t)
	}
	if err != nil {
		p.proxy.StepAside()
		p.log.Warn("the table of the data plane that took the place cannot be served here: who keeps a connection to this one has to come anew", "error", err)
	}
	p.before.follow([]byte(text), time.Duration(limit)*time.Millisecond/2)
}

// lose answers nobody any more, as nobody tells what the plane that has taken the place answers by.
func (p *Plane) lose(why error) {
	p.proxy.StepAside()
	p.log.Info("the data plane that took the place tells no more what it answers by: who keeps a connection to this one has to come anew", "error", why)
}
