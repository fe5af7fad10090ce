// Command answers waits until an engine answers, for the scripts that start engines:
//
//	answers unix:///path SECONDS
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

func main() {
	if err := wait(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func wait(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: answers ENDPOINT SECONDS")
	}
	seconds, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("read the seconds: %w", err)
	}
	engine, err := docker.New(docker.Options{Endpoint: args[0]})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	for {
		_, err := engine.Info(ctx)
		if err == nil {
			return engine.Close()
		}
		const pause = 20 * time.Millisecond
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
