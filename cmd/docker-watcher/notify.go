package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) notifyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "notify",
		Short: "Notifications: where events are sent to, by which rules, and what waits",
		Long: `Sends events to people and programs. A channel is where to: mail, a chat, a push service, a webhook. A
rule says which events go there, and when. What cannot be delivered waits in the outbox.`,
		Example: `  docker-watcher notify channel add ops --url-stdin < url
  docker-watcher notify channel test ops
  docker-watcher notify rule add warnings --channel ops --severity warn --severity error`,
	}, a.channelCommand(), a.ruleCommand(), a.outboxCommand(), a.notifyPreview())
}

func (a *app) channelCommand() *cobra.Command {
	return group(&cobra.Command{
		Use: "channel", Short: "Channels: where events are sent to",
		Long: `A channel is where events are sent to. Its URL holds tokens and passwords: it is asked for, or read from
standard input, sealed where it is kept, and shown to nobody.`,
		Example: "  docker-watcher notify channel kinds\n  docker-watcher notify channel ls",
	}, a.channelLs(), a.channelAdd(), a.channelShow(), a.channelEdit(), a.channelTest(), a.channelRm(), a.channelKinds())
}

func (a *app) channelLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the channels",
		Long:    "Lists the channels: whether each works, and what waits for it.",
		Example: "  docker-watcher notify channel ls",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Channel, error) {
		return api.Channels(c.Context())
	}, func(channels []client.Channel) {
		t := screen.Table{Head: []string{"name", "to", "state", "last sent", "waiting", "given up"}}
		for _, ch := range channels {
			t.Add(screen.Text(ch.Name), screen.Text(ch.Shown), channelState(ch), a.when(ch.LastSentAt), screen.Text(fmt.Sprint(ch.Waiting)), deadCell(ch.Dead))
		}
		a.screen.Print(t)
	})
}

func channelState(ch client.Channel) screen.Cell {
	switch {
	case !ch.Enabled:
		return screen.Cell{Text: "off", Tone: screen.Faint}
	case !ch.FailingSince.IsZero():
		return screen.Cell{Text: "failing", Tone: screen.Bad}
	case ch.LastSentAt.IsZero() && ch.LastTest == nil:
		return screen.Cell{Text: "untried", Tone: screen.Faint}
	case ch.LastTest != nil && !ch.LastTest.OK && ch.LastTest.At.After(ch.LastSentAt):
		return screen.Cell{Text: "test failed", Tone: screen.Bad}
	}
	return screen.Cell{Text: "ok", Tone: screen.Good}
}

func deadCell(n int) screen.Cell {
	if n > 0 {
		return screen.Cell{Text: fmt.Sprint(n), Tone: screen.Bad}
	}
	return screen.Text("0")
}

// channelFlags are what can be said of a channel on the command line.
type channelFlags struct {
	stdin       bool
	secret      string
	title, body string
}

func (f *channelFlags) addTo(c *cobra.Command) {
	c.Flags().BoolVar(&f.stdin, "url-stdin", false, "read the URL from standard input")
	c.Flags().StringVar(&f.secret, "secret-file", "", "file with what a webhook signs with, instead of one that is made")
	c.Flags().StringVar(&f.title, "title-file", "", "file with the template of the title; empty: the usual one")
	c.Flags().StringVar(&f.body, "body-file", "", "file with the template of the text; empty: the usual one")
}

// read reads the files that were named; nil: that one was not.
func (f *channelFlags) read(c *cobra.Command) (secret, title, body *string, err error) {
	for _, file := range []struct {
		flag, path string
		to         **string
	}{{"secret-file", f.secret, &secret}, {"title-file", f.title, &title}, {"body-file", f.body, &body}} {
		if !c.Flags().Changed(file.flag) {
			continue
		}
		text := []byte{}
		if file.path != "" {
			if text, err = os.ReadFile(file.path); err != nil {
				return nil, nil, nil, usagef(c, "--%s: %w", file.flag, err)
			}
		}
		trimmed := strings.TrimRight(string(text), "\r\n")
		*file.to = &trimmed
	}
	return secret, title, body, nil
}

// channelURL asks for a URL on the terminal, or reads it from standard input: it is a secret.
func (a *app) channelURL(c *cobra.Command, stdin bool) (string, error) {
	if !stdin {
		if !a.screen.InputTerminal {
			return "", usagef(c, "there is no terminal to ask for the URL: add --url-stdin")
		}
		return a.hidden("URL: ")
	}
	text, err := io.ReadAll(io.LimitReader(a.screen.In, mostToken))
	if err != nil {
		return "", fmt.Errorf("read the URL: %w", err)
	}
	url := strings.TrimSpace(string(text))
	if url == "" {
		return "", usagef(c, "--url-stdin: standard input is empty")
	}
	return url, nil
}

func (a *app) channelAdd() *cobra.Command {
	var f channelFlags
	c := &cobra.Command{
		Use: "add NAME", Short: "Set up a channel",
		Long: `Sets up a channel. Its URL is asked for, or read from standard input: it is never an argument, which
everybody on the machine could read. How it is written for each kind is told by
docker-watcher notify channel kinds. For a webhook a secret to sign with is made and told once.`,
		Example: `  docker-watcher notify channel add ops --url-stdin < url
  echo ntfy://ntfy.sh/my-topic | docker-watcher notify channel add phone --url-stdin`,
		Args: takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			secret, title, body, err := f.read(c)
			if err != nil {
				return err
			}
			n := client.NewChannel{Name: args[0], Secret: text(secret), Title: text(title), Body: text(body)}
			if n.URL, err = a.channelURL(c, f.stdin); err != nil {
				return err
			}
			ch, err := api.CreateChannel(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(ch, func() {
				a.screen.Printf("channel %s (%s) is set up. Next: docker-watcher notify channel test %s\n", ch.Name, screen.Tame(ch.Shown), ch.Name)
				if ch.Secret != "" {
					a.screen.Printf("what it sends is signed with this secret, which is not told again: %s\n", ch.Secret)
				}
			})
		}),
	}
	f.addTo(c)
	return c
}

func (a *app) channelShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show NAME", Short: "Show a channel",
		Long:              "Shows where a channel leads, without what is secret, whether it works, and its templates.",
		Example:           "  docker-watcher notify channel show ops",
		Args:              takes(1, 1),
		ValidArgsFunction: a.channelNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Channel, error) {
		return a.channel(c.Context(), api, args[0])
	}, func(ch client.Channel) {
		a.screen.Printf("channel %s\nto %s\nkind %s\nsigned %s\nstate %s\nlast sent %s\nwaiting %d\ngiven up %d\n", ch.Name, screen.Tame(ch.Shown), ch.Kind,
			yesNo(ch.SecretSet), a.screen.Paint(channelState(ch)), a.when(ch.LastSentAt).Text, ch.Waiting, ch.Dead)
		if !ch.FailingSince.IsZero() {
			a.screen.Printf("failing since %s: %s\n", a.when(ch.FailingSince).Text, screen.Tame(ch.LastError))
		}
		if ch.LastTest != nil {
			a.screen.Printf("last test %s by %s: ", a.when(ch.LastTest.At).Text, screen.Tame(ch.LastTest.By))
			a.printChannelTest(*ch.LastTest)
		}
		for _, part := range []struct{ name, text string }{{"title", ch.Title}, {"text", ch.Body}} {
			if part.text != "" {
				a.screen.Printf("%s template:\n%s\n", part.name, screen.Tame(part.text))
			}
		}
	})
}

func (a *app) channelEdit() *cobra.Command {
	var (
		f        channelFlags
		name     string
		off, on  bool
		noSecret bool
	)
	c := &cobra.Command{
		Use: "edit NAME", Short: "Change a channel",
		Long: `Changes what is named by a flag and nothing else. What is for a channel that is off waits, and comes as
one message when it is on again.`,
		Example: `  docker-watcher notify channel edit ops --url-stdin < url
  docker-watcher notify channel edit ops --off`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.channelNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			change := client.ChannelChange{Name: given(c, "name", &name)}
			var err error
			if change.Secret, change.Title, change.Body, err = f.read(c); err != nil {
				return err
			}
			if noSecret {
				none := ""
				change.Secret = &none
			}
			if off || on {
				change.Enabled = &on
			}
			if f.stdin {
				url, err := a.channelURL(c, true)
				if err != nil {
					return err
				}
				change.URL = &url
			}
			if change == (client.ChannelChange{}) {
				return usagef(c, "say what to change: --name, --url-stdin, --secret-file, --no-secret, --title-file, --body-file, --on or --off")
			}
			ch, err := a.channel(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			change.Revision = ch.Revision
			if ch, err = api.UpdateChannel(c.Context(), ch.ID, change); err != nil {
				return err
			}
			return a.show(ch, func() { a.screen.Printf("channel %s changed\n", ch.Name) })
		}),
	}
	f.addTo(c)
	c.Flags().StringVar(&name, "name", "", "another name")
	c.Flags().BoolVar(&off, "off", false, "send nothing: what is for it waits")
	c.Flags().BoolVar(&on, "on", false, "send again")
	c.Flags().BoolVar(&noSecret, "no-secret", false, "sign nothing")
	c.MarkFlagsMutuallyExclusive("on", "off")
	c.MarkFlagsMutuallyExclusive("no-secret", "secret-file")
	return c
}

func (a *app) channelTest() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME", Short: "Send a test message now",
		Long:              "Sends a test message now, and says what the target answered. The exit code is 1 when it did not take it.",
		Example:           "  docker-watcher notify channel test ops",
		Args:              takes(1, 1),
		ValidArgsFunction: a.channelNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			ch, err := a.channel(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			test, err := api.TestChannel(c.Context(), ch.ID)
			if err != nil {
				return err
			}
			if err := a.show(test, func() { a.printChannelTest(test) }); err != nil || test.OK {
				return err
			}
			return codeError(exitError)
		}),
	}
}

func (a *app) printChannelTest(t client.ChannelTest) {
	took := (time.Duration(t.TookMS) * time.Millisecond).String()
	if !t.OK {
		a.screen.Printf("%s after %s: %s\n", a.screen.Paint(screen.Cell{Text: "failed", Tone: screen.Bad}), took, screen.Tame(t.Error))
		return
	}
	a.screen.Printf("%s within %s: %s\n", a.screen.Paint(screen.Cell{Text: "ok", Tone: screen.Good}), took, screen.Tame(t.Answer))
}

func (a *app) channelRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Remove a channel, and what waits for it",
		Long:              "Removes a channel, its URL, and the messages that wait for it or were given up. Rules that led there lead there no more.",
		Example:           "  docker-watcher notify channel rm ops --yes",
		ValidArgsFunction: a.channelNames(),
	}, removal[client.Channel]{
		find: a.channel,
		ask: func(ch client.Channel) string {
			return fmt.Sprintf("Remove channel %s (%s)? %d messages that were not sent are lost with it.", ch.Name, ch.Shown, ch.Waiting+ch.Dead)
		},
		remove: func(ctx context.Context, api *client.Client, ch client.Channel) error {
			return api.DeleteChannel(ctx, ch.ID)
		},
		told: func(ch client.Channel) string { return "channel " + ch.Name + " removed" },
	})
}

func (a *app) channelKinds() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "kinds", Short: "How the URL of each kind of channel is written",
		Long:    "Says how the URL of each kind of channel is written. docs/notifications.md says more.",
		Example: "  docker-watcher notify channel kinds",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.ChannelKind, error) {
		return api.ChannelKinds(c.Context())
	}, func(kinds []client.ChannelKind) {
		for _, k := range kinds {
			a.screen.Printf("%s\n  %s\n", k.Title, k.URL)
			if k.Hint != "" {
				a.screen.Printf("  %s\n", k.Hint)
			}
		}
	})
}

// channel finds one by its name or its id.
func (a *app) channel(ctx context.Context, api *client.Client, name string) (client.Channel, error) {
	ch, err := api.Channel(ctx, name)
	if client.HasCode(err, client.CodeNotFound) {
		return ch, &notFoundError{fmt.Sprintf("there is no channel %q", name), "docker-watcher notify channel ls lists them"}
	}
	return ch, err
}

func (a *app) channelNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		channels, err := api.Channels(ctx)
		var names []string
		for _, ch := range channels {
			names = append(names, ch.Name+"\t"+ch.Shown)
		}
		return names, err
	})
}

func (a *app) notifyPreview() *cobra.Command {
	var f channelFlags
	var r client.PreviewRequest
	c := &cobra.Command{
		Use: "preview", Short: "What templates make of real events",
		Long:    "Shows what templates make of the newest events. Nothing is sent and nothing is saved.",
		Example: "  docker-watcher notify preview --body-file body.tmpl --count 5",
		Args:    takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			_, title, body, err := f.read(c)
			if err != nil {
				return err
			}
			r.Title, r.Body = text(title), text(body)
			p, err := api.PreviewMessage(c.Context(), r)
			if err != nil {
				return err
			}
			return a.show(p, func() { a.screen.Printf("%s\n\n%s\n", screen.Tame(p.Title), screen.Tame(p.Text)) })
		}),
	}
	c.Flags().StringVar(&f.title, "title-file", "", "file with the template of the title")
	c.Flags().StringVar(&f.body, "body-file", "", "file with the template of the text")
	c.Flags().StringVar(&r.Rule, "rule", "", "of events that this rule wants; else of warnings and errors")
	c.Flags().IntVar(&r.Count, "count", 1, "of how many events")
	return c
}
