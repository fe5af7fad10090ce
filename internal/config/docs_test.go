package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/config"
)

// manuals are all pages for people, one text.
func manuals(t *testing.T) string {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	var b strings.Builder
	for _, name := range append(pages, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

var (
	usageLine   = regexp.MustCompile(`(?m)^(?:Usage:)? +server ((?:[a-z]+ )*)`)
	twinName    = regexp.MustCompile(`DOCKER_WATCHER_[A-Z_]+`)
	serverWords = regexp.MustCompile(`(?m)(?:^ +|\x60)(?:bin/)?(?:docker-watcher-)?server((?: [a-z]+)*)((?: [^\x60#\n]*)?)`)
	longFlag    = regexp.MustCompile(` --([a-z][a-z-]*)`)
)

// commands are the words of every command that the help of the daemon names.
func commands(t *testing.T) (found []string) {
	t.Helper()
	for _, m := range usageLine.FindAllStringSubmatch(config.Help(), -1) {
		found = append(found, strings.TrimSpace(m[1]))
	}
	if len(found) < 6 {
		t.Fatalf("only %q are found in the help", found)
	}
	return found
}

// TestEveryCommandOfTheDaemonIsInTheDocs, and every flag.
func TestEveryCommandOfTheDaemonIsInTheDocs(t *testing.T) {
	docs := manuals(t)
	for _, words := range commands(t) {
		if words != "" && !strings.Contains(docs, "server "+words) {
			t.Errorf("no page tells of `server %s`", words)
		}
	}
	for _, m := range longFlag.FindAllStringSubmatch(config.Help()+config.ProxyHelp(), -1) {
		if !strings.Contains(docs, "--"+m[1]) {
			t.Errorf("no page tells of --%s", m[1])
		}
	}
}

// TestDocsNameNothingThatIsNotThere: what the pages say to type is known to the daemon.
func TestDocsNameNothingThatIsNotThere(t *testing.T) {
	known := commands(t)
	help := config.Help() + config.ProxyHelp()
	asked := 0
	for _, m := range serverWords.FindAllStringSubmatch(manuals(t), -1) {
		words, rest := strings.TrimSpace(m[1]), m[2]
		is := slices.ContainsFunc(known, func(k string) bool { return k == words || k != "" && strings.HasPrefix(words+" ", k+" ") })
		if !is {
			t.Errorf("the docs name `server %s`, which is no command", words)
		}
		for _, flag := range longFlag.FindAllStringSubmatch(rest, -1) {
			asked++
			if !strings.Contains(help, "--"+flag[1]) {
				t.Errorf("`server %s%s`: there is no --%s", words, rest, flag[1])
			}
		}
	}
	if asked < 20 {
		t.Errorf("only %d flags were found in the docs", asked)
	}
}

// TestEveryVariableThatIsNamedIsRead: in the pages and in what is packaged.
func TestEveryVariableThatIsNamedIsRead(t *testing.T) {
	texts := map[string]string{"docs": manuals(t)}
	err := filepath.WalkDir("../../packaging", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(name, ".go") {
			return err
		}
		text, err := os.ReadFile(name)
		texts[name] = string(text)
		return err
	})
	if err != nil || len(texts) < 10 {
		t.Fatal(len(texts), err)
	}
	others := []string{"DOCKER_WATCHER_URL", "DOCKER_WATCHER_TOKEN", "DOCKER_WATCHER_FAILPOINT"} // of the command line, and of tests
	for where, text := range texts {
		for _, name := range twinName.FindAllString(text, -1) {
			if !strings.Contains(config.Help()+config.ProxyHelp(), "or: "+name+"\n") && !slices.Contains(others, name) {
				t.Errorf("%s names %s, which nothing reads", where, name)
			}
		}
	}
}
