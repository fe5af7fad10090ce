package sso

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// longestSecret is how long the file of a client secret may be, in bytes.
const longestSecret = 4 << 10

// Hide has no file of a folder read as a client secret: an admin names the file and the issuer that it goes to, and what is in the data folder no admin may read.
func (f *Flows) Hide(folder string) *Flows {
	f.hidden = folder
	return f
}

// secret is the client secret of now, unless it would be a file of the hidden folder.
func (f *Flows) secret(p Provider) (string, error) {
	if f.hidden != "" && p.ClientSecretFile != "" {
		if err := outside(f.hidden, p.ClientSecretFile); err != nil {
			return "", fmt.Errorf("%w: read the client secret: %w", ErrUnavailable, err)
		}
	}
	return p.secret()
}

// outside looks where a file is, whatever links lead there.
func outside(folder, file string) error {
	folder, err := filepath.EvalSymlinks(folder)
	if err == nil {
		folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return err
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return err
	}
	if within, err := filepath.Rel(folder, file); err != nil || within == ".." || strings.HasPrefix(within, "../") {
		return err
	}
	return fmt.Errorf("%s is in the data folder: put it elsewhere", file)
}

// readSecret reads the one line of a file that somebody has made for it: what else is on the machine is sent to nobody.
func readSecret(file *os.File) (string, error) {
	about, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !about.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", file.Name())
	}
	text, err := io.ReadAll(io.LimitReader(file, longestSecret+1))
	if err != nil {
		return "", err
	}
	if len(text) > longestSecret {
		return "", fmt.Errorf("%s is longer than %d bytes", file.Name(), longestSecret)
	}
	if text = bytes.TrimSpace(text); bytes.ContainsAny(text, "\x00\r\n") {
		return "", fmt.Errorf("%s is more than one line of text", file.Name())
	}
	return string(text), nil
}
