//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/plane"
)

// terminal is what a person sees, and the end at which a program writes.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func pipe(t *testing.T) (reader, program *os.File) {
	t.Helper()
	reader, program, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = reader.Close(), program.Close() })
	return reader, program
}

// TestTheLogIsTextOnATerminalAndJSONElsewhere, unless somebody says otherwise.
func TestTheLogIsTextOnATerminalAndJSONElsewhere(t *testing.T) {
	for name, tt := range map[string]struct {
		to     func(*testing.T) (*os.File, *os.File)
		format config.LogFormat
		json   bool
	}{
		"auto, on a terminal": {terminal, config.LogAuto, false},
		"auto, elsewhere":     {pipe, config.LogAuto, true},
		"json, on a terminal": {terminal, config.LogJSON, true},
		"text, elsewhere":     {pipe, config.LogText, false},
	} {
		t.Run(name, func(t *testing.T) {
			reader, program := tt.to(t)
			log := newLog(config.Config{LogFormat: tt.format, LogLevel: slog.LevelInfo}, program)
			log.Debug("nobody asked for it")
			log.Warn("it is \"said\"", "host", "local", "took", time.Second)
			line, err := bufio.NewReader(reader).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if !tt.json {
				if !strings.Contains(line, `level=WARN msg="it is \"said\"" host=local took=1s`) || json.Valid([]byte(line)) {
					t.Errorf("it says %q", line)
				}
				return
			}
			var said map[string]any
			if err := json.Unmarshal([]byte(line), &said); err != nil {
				t.Fatalf("it says %q: %v", line, err)
			}
			at, err := time.Parse(time.RFC3339Nano, said["time"].(string))
			if err != nil || time.Since(at) > time.Minute || said["level"] != "WARN" || said["msg"] != `it is "said"` || said["host"] != "local" || said["took"] != 1e9 {
				t.Errorf("it says %v, %v", said, err)
			}
		})
	}
}

// TestTheEndIsWrittenAsTheLog is, with what to do about it, if anything can be done.
func TestTheEndIsWrittenAsTheLog(t *testing.T) {
	taken := fmt.Errorf("listen: %w", plane.ErrTaken)
	for name, tt := range map[string]struct {
		format config.LogFormat
		why    error
		want   string
	}{
		"in words":            {config.LogText, taken, "server proxy: listen: " + plane.ErrTaken.Error() + "\nhint: it serves already"},
		"in words, no hint":   {config.LogText, errors.New("odd"), "server proxy: odd\n"},
		"as JSON":             {config.LogJSON, taken, `,"level":"ERROR","msg":"ended by an error","program":"server proxy","error":"listen: ` + plane.ErrTaken.Error() + `","hint":"it serves already`},
		"as JSON, of 2 lines": {config.LogJSON, errors.Join(errors.New("odd"), errors.New("even")), `"error":"odd\neven"`},
	} {
		var said bytes.Buffer
		tellEnd("server proxy", tt.why, config.Config{LogFormat: tt.format, LogLevel: slog.LevelError}, &said)
		if !strings.Contains(said.String(), tt.want) || json.Valid(said.Bytes()) != (tt.format == config.LogJSON) {
			t.Errorf("%s: %s", name, &said)
		}
	}
}
