// Command app is the tiny service that tests and the demo deploy.
//
// It answers /healthz (200, after /sick 503, after /well 200 again), / (host name and version),
// /crash?code=N (it exits) and /hang (no answer). "app check" asks its own /healthz, for a HEALTHCHECK
// in an image without a shell; "app get URL" prints what a URL answers.
//
// The environment: PORT (8080), START_DELAY_MS, EXIT_AFTER_MS with EXIT_CODE, IGNORE_TERM (1: only a
// kill ends it), VERSION, CHATTER (so many numbered lines as fast as they go, every second one to stderr), LONG_LINE_KB (one line).
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "check":
		return get("http://127.0.0.1:"+port()+"/healthz", io.Discard)
	case len(args) == 2 && args[0] == "get":
		return get(args[1], os.Stdout)
	case len(args) > 0:
		return fmt.Errorf("unknown command %q", args)
	default:
		return serve()
	}
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if os.Getenv("IGNORE_TERM") == "1" {
		ctx = context.Background()
	}
	if after := millis("EXIT_AFTER_MS"); after > 0 {
		time.AfterFunc(after, func() {
			fmt.Println("exiting as told")
			os.Exit(number("EXIT_CODE"))
		})
	}
	go chatter(number("CHATTER"), number("LONG_LINE_KB")<<10)
	time.Sleep(millis("START_DELAY_MS"))
	server := &http.Server{Addr: ":" + port(), Handler: routes(), ReadHeaderTimeout: 10 * time.Second}
	fmt.Println("serving", os.Getenv("VERSION"), "on port", port())
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "told to end")
		return server.Close()
	}
}

// chatter writes much.
func chatter(lines, long int) {
	if long > 0 {
		fmt.Println(strings.Repeat("x", long))
	}
	for n := range lines {
		fmt.Fprintf([]io.Writer{os.Stdout, os.Stderr}[n%2], "number %d %s\n", n+1, strings.Repeat(".", 80))
	}
}

func routes() http.Handler {
	var sick atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		host, err := os.Hostname()
		if err != nil {
			host = "?"
		}
		say(w, host, os.Getenv("VERSION"))
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "sick", http.StatusServiceUnavailable)
			return
		}
		say(w, "ok")
	})
	mux.HandleFunc("/sick", func(http.ResponseWriter, *http.Request) { sick.Store(true) })
	mux.HandleFunc("/well", func(http.ResponseWriter, *http.Request) { sick.Store(false) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/crash", func(_ http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.FormValue("code"))
		if err != nil {
			code = 1
		}
		fmt.Fprintln(os.Stderr, "crashing with", code)
		os.Exit(code)
	})
	return mux
}

// say answers; who has gone away meanwhile hears nothing.
func say(w io.Writer, words ...string) { _, _ = fmt.Fprintln(w, strings.Join(words, " ")) }

func get(url string, out io.Writer) error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url) //nolint:noctx // the client has a timeout
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read, or its error is told
	if _, err := io.Copy(out, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}

func port() string {
	if p := os.Getenv("PORT"); p != "" {
		return p
	}
	return "8080"
}

func millis(name string) time.Duration { return time.Duration(number(name)) * time.Millisecond }

func number(name string) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return 0 // not set
	}
	return n
}
