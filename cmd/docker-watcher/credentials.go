package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const defaultURL = "http://127.0.0.1:8080"

// credentials is what login keeps, for its owner's eyes only.
type credentials struct {
	Current string            `json:"current"`
	Servers map[string]server `json:"servers"`
}

type server struct {
	Credential string `json:"credential"`
	Name       string `json:"name,omitempty"`
}

// target is the service to speak to and the credential for just that one.
func (a *app) target() (where, credential string, err error) {
	where = firstOf(a.url, a.getenv("DOCKER_WATCHER_URL"))
	if token := a.getenv("DOCKER_WATCHER_TOKEN"); token != "" && where != "" {
		return where, token, nil
	}
	kept, err := a.credentials()
	if err != nil {
		return "", "", err
	}
	where = firstOf(where, kept.Current, defaultURL)
	return where, firstOf(a.getenv("DOCKER_WATCHER_TOKEN"), kept.Servers[serverKey(where)].Credential), nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func serverKey(where string) string { return strings.TrimRight(where, "/") }

func (a *app) credentialsFile() (string, error) {
	dir, err := a.configDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for credentials: %w", err)
	}
	return filepath.Join(dir, "docker-watcher", "credentials.json"), nil
}

func (a *app) credentials() (credentials, error) {
	kept := credentials{Servers: map[string]server{}}
	file, err := a.credentialsFile()
	if err != nil {
		return kept, nil //nolint:nilerr // without a home there is nothing kept, and the environment may do
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return kept, fmt.Errorf("read credentials: %w", err)
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		return kept, &hinted{fmt.Errorf("read credentials %s: %w", file, err), "remove that file and log in again"}
	}
	if kept.Servers == nil {
		kept.Servers = map[string]server{}
	}
	return kept, nil
}

// keep stores a credential and makes its service the current one. The file is replaced whole.
func (a *app) keep(where string, s server) error {
	kept, err := a.credentials()
	if err != nil {
		return err
	}
	kept.Current = serverKey(where)
	kept.Servers[kept.Current] = s
	return a.save(kept)
}

func (a *app) forget(where string) error {
	kept, err := a.credentials()
	if err != nil {
		return err
	}
	delete(kept.Servers, serverKey(where))
	return a.save(kept)
}

func (a *app) save(kept credentials) (err error) {
	file, err := a.credentialsFile()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("store credentials: %w", err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	// CreateTemp makes it readable by its owner alone.
	draft, err := os.CreateTemp(filepath.Dir(file), ".credentials-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeIfThere(draft.Name())) }()
	if _, err := draft.Write(append(text, '\n')); err != nil {
		return errors.Join(err, draft.Close())
	}
	if err := draft.Close(); err != nil {
		return err
	}
	return os.Rename(draft.Name(), file)
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
