package sso

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// longestSecret is how long the file of a client secret may be, in bytes.
const longestSecret = 4 << 10

// Hide has no file of a folder read as a client secret: an admin names the file and the issuer that it goes to, and what is in the data folder no admin may read.
func (f *Flows) Hide(folder string) *Flows {
	f.hidden = folder
	return f
}

// secret is the client secret of now.
func (f *Flows) secret(p Provider) (string, error) {
	if p.ClientSecretFile == "" {
		return p.ClientSecret, nil
	}
	text, err := readSecret(p.ClientSecretFile, f.hidden)
	if err != nil {
		return "", fmt.Errorf("%w: read the client secret: %w", ErrUnavailable, err)
	}
	return text, nil
}

// readSecret reads the one line of a file that somebody has made for it: what else is on the machine is sent to nobody.
func readSecret(name, hidden string) (string, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // no pipe is waited for
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // it was only read
	about, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !about.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", name)
	}
	if hidden != "" {
		if err := outside(hidden, name, about); err != nil {
			return "", err
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, longestSecret+1))
	if err != nil {
		return "", err
	}
	if len(text) > longestSecret {
		return "", fmt.Errorf("%s is longer than %d bytes", name, longestSecret)
	}
	if text = bytes.TrimSpace(text); bytes.ContainsAny(text, "\x00\r\n") {
		return "", fmt.Errorf("%s is more than one line of text", name)
	}
	return string(text), nil
}

// outside looks where a file that is open is, whatever links lead there; one that leads elsewhere by now is refused.
func outside(folder, name string, open os.FileInfo) error {
	folder, err := filepath.EvalSymlinks(folder)
	if err == nil {
		folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return err
	}
	at, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	within, err := filepath.Rel(folder, at)
	if err != nil {
		return err
	}
	if within != ".." && !strings.HasPrefix(within, "../") {
		return fmt.Errorf("%s is in the data folder: put it elsewhere", at)
	}
	now, err := os.Lstat(at)
	if err == nil && !os.SameFile(open, now) {
		err = fmt.Errorf("%s became another file while it was read", name)
	}
	return err
}
