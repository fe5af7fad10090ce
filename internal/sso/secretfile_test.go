package sso

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWhichFileIsAClientSecret: an admin names it, and where it is sent; so it is one line outside of the data folder, however it is named.
func TestWhichFileIsAClientSecret(t *testing.T) {
	data, elsewhere := t.TempDir(), t.TempDir()
	write := func(folder, name, text string) string {
		t.Helper()
		file := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	lead := func(to, name string) string {
		t.Helper()
		link := filepath.Join(elsewhere, name)
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		return link
	}
	key := write(data, "docker-watcher.key", "the-key-of-everything\n")
	pipe := filepath.Join(elsewhere, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	good := write(elsewhere, "secret", " 0idc-s3cret\n")
	for name, c := range map[string]struct{ file, refused string }{
		"a file made for it":             {file: good},
		"a link to it":                   {file: lead(good, "link")},
		"as long as may be":              {file: write(elsewhere, "long", strings.Repeat("a", longestSecret))},
		"beside the data folder":         {file: write(data+"-2", "secret", "0idc-s3cret")},
		"the key":                        {key, "is in the data folder"},
		"the key, by a roundabout way":   {elsewhere + "/../" + filepath.Base(data) + "/docker-watcher.key", "is in the data folder"},
		"the key, by a link":             {lead(key, "key"), "is in the data folder"},
		"the key, by a link to a folder": {filepath.Join(lead(data, "folder"), "docker-watcher.key"), "is in the data folder"},
		"the key, by the process":        {"/proc/self/root" + key, "is in the data folder"},
		"a certificate":                  {write(data, "certificates/own/shop.pem", "x"), "is in the data folder"},
		"too long":                       {write(elsewhere, "longer", strings.Repeat("a", longestSecret+1)), "is longer than 4096 bytes"},
		"more than one line":             {write(elsewhere, "passwd", "root:x:0\nanna:x:1\n"), "is more than one line of text"},
		"not text":                       {write(elsewhere, "db", "SQLite\x00"), "is more than one line of text"},
		"the environment":                {"/proc/self/environ", "is"},
		"a folder":                       {elsewhere, "is no file"},
		"a pipe":                         {pipe, "is no file"},
		"not there":                      {filepath.Join(elsewhere, "none"), "no such file"},
	} {
		f := NewFlows().Hide(data)
		secret, err := f.secret(Provider{ClientSecretFile: c.file})
		if (err != nil) != (c.refused != "") || err != nil && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.refused) || secret != "") {
			t.Errorf("%s: %q, %v", name, secret, err)
		}
	}
	if secret, err := NewFlows().Hide(data).secret(Provider{ClientSecretFile: good}); secret != "0idc-s3cret" || err != nil {
		t.Errorf("%q, %v", secret, err)
	}
}

// TestTheKeyIsSentToNoProvider, whom an admin names together with the file: neither by a sign-in nor by a test.
func TestTheKeyIsSentToNoProvider(t *testing.T) {
	h, data := newHouse(t), t.TempDir()
	f := NewFlows().Hide(data)
	key := filepath.Join(data, "docker-watcher.key")
	if err := os.WriteFile(key, []byte("the-key-of-everything\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.provider.ClientSecret, h.provider.ClientSecretFile = "", key
	if _, _, err := f.Begin(t.Context(), h.provider); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a sign-in: %v", err)
	}
	if err := f.Test(t.Context(), h.provider); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "everything") {
		t.Errorf("a test: %v", err)
	}
}

// TestALinkThatIsTurnedMeanwhile: the file that is read is the one that was looked at.
func TestALinkThatIsTurnedMeanwhile(t *testing.T) {
	data, elsewhere := t.TempDir(), t.TempDir()
	key, good, link := filepath.Join(data, "docker-watcher.key"), filepath.Join(elsewhere, "good"), filepath.Join(elsewhere, "link")
	if err := errors.Join(os.WriteFile(key, []byte("the-key"), 0o600), os.WriteFile(good, []byte("good"), 0o600)); err != nil {
		t.Fatal(err)
	}
	turn := func(to string) error {
		next := filepath.Join(elsewhere, "next")
		return errors.Join(os.Symlink(to, next), os.Rename(next, link))
	}
	if err := turn(good); err != nil {
		t.Fatal(err)
	}
	stop, turned := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				turned <- nil
				return
			default:
			}
			if err := errors.Join(turn(key), turn(good)); err != nil {
				turned <- err
				return
			}
		}
	}()
	f := NewFlows().Hide(data)
	for range 5000 {
		if secret, err := f.secret(Provider{ClientSecretFile: link}); err == nil && secret != "good" {
			t.Errorf("%q is read", secret)
			break
		}
	}
	close(stop)
	if err := <-turned; err != nil {
		t.Error(err)
	}
}
