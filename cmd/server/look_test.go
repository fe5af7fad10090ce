package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestACheckThatFailsIsDoneAgain until one comes to its end, and is told each time.
func TestACheckThatFailsIsDoneAgain(t *testing.T) {
	for name, last := range map[string]error{"whole": nil, "damaged": fmt.Errorf("check: %w", store.ErrCorrupt)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				begun, checks := time.Now(), 0
				err := lookToTheEnd(t.Context(), func(context.Context) error {
					if checks++; checks < 3 {
						return errors.New("nobody answers")
					}
					return last
				}, nextLook, slog.New(slog.NewTextHandler(&said, nil)))
				if !errors.Is(err, last) || checks != 3 {
					t.Errorf("%v after %d checks", err, checks)
				}
				if took := time.Since(begun); took != 2*nextLook {
					t.Errorf("it took %s", took)
				}
				if told := strings.Count(said.String(), "nobody answers"); told != 2 {
					t.Errorf("told %d times:\n%s", told, said.String())
				}
			})
		})
	}
}

// TestALookEndsWithTheDaemon: what the end itself breaks off is no fault.
func TestALookEndsWithTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		ctx, cancel := context.WithCancel(t.Context())
		if err := lookToTheEnd(ctx, func(ctx context.Context) error { cancel(); return ctx.Err() }, nextLook, log); err != nil || said.Len() > 0 {
			t.Errorf("%v, said %s", err, said.String())
		}
		ctx, cancel = context.WithTimeout(t.Context(), nextLook/2)
		defer cancel()
		if err := lookToTheEnd(ctx, func(context.Context) error { return errors.New("nobody answers") }, nextLook, log); err != nil {
			t.Errorf("while it waits: %v", err)
		}
	})
}
