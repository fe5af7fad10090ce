// Command shoutrrr reads the URLs of channels by shoutrrr's own code, for the tests of internal/notify.
//
// It takes questions as JSON, one array of URLs on standard input, and answers each in the same order: what shoutrrr would send, of which
// nothing leaves this process, and what it reads of the URL of a mail; or why it refuses the URL.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/googlechat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// answer is what shoutrrr makes of a URL.
type answer struct {
	Error    string    `json:"error,omitempty"` // why it is refused
	Requests []request `json:"requests,omitempty"`
	Mail     *mail     `json:"mail,omitempty"`
}

type request struct {
	Method        string `json:"method"`
	URL           string `json:"url"`
	Authorization string `json:"authorization,omitempty"`
	GotifyKey     string `json:"gotify_key,omitempty"`
	Body          string `json:"body"`
}

type mail struct {
	Host       string   `json:"host"`
	Port       uint16   `json:"port"`
	User       string   `json:"user"`
	Password   string   `json:"password"`
	From       string   `json:"from"`
	FromName   string   `json:"from_name"`
	To         []string `json:"to"`
	Encryption string   `json:"encryption"`
	Required   bool     `json:"required"` // STARTTLS
	Client     string   `json:"client"`   // what it calls itself
}

// nowhere takes what is sent.
type nowhere struct{ got []request }

// RoundTrip answers as the target would, as far as shoutrrr looks at that.
func (n *nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	n.got = append(n.got, request{
		Method: r.Method, URL: r.URL.String(), Authorization: r.Header.Get("Authorization"), GotifyKey: r.Header.Get("X-Gotify-Key"), Body: string(body),
	})
	status, text := http.StatusOK, `{"ok":true}`
	switch {
	case r.URL.Host == "discord.com":
		status, text = http.StatusNoContent, ""
	case r.URL.Host == "hooks.slack.com":
		text = "ok"
	case strings.Contains(r.URL.Path, "/join/"):
		_, room, _ := strings.Cut(r.URL.Path, "/join/")
		answer, err := json.Marshal(map[string]string{"room_id": resolved(room)})
		if err != nil {
			return nil, err
		}
		text = string(answer)
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// resolved is the id of a room of Matrix that is named by an alias.
func resolved(room string) string {
	if alias, is := strings.CutPrefix(room, "#"); is {
		return "!of-" + alias
	}
	return room
}

func main() {
	var questions []string
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, "read the questions:", err)
		os.Exit(1)
	}
	answers := make([]answer, len(questions))
	for i, q := range questions {
		answers[i] = ask(q)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, "write the answers:", err)
		os.Exit(1)
	}
}

func ask(text string) (a answer) {
	defer func() { // it does so where a list of rooms is empty
		if why := recover(); why != nil {
			a = answer{Error: fmt.Sprint("it panics: ", why)}
		}
	}()
	u, err := url.Parse(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	to := &nowhere{}
	http.DefaultTransport = to
	service := services()[u.Scheme]
	if service == nil {
		return answer{Error: "there is no such service"}
	}
	err = service.Initialize(u, log.New(io.Discard, "", 0))
	if s, is := service.(*smtp.Service); is && err == nil {
		s.Config.FixEmailTags()
		return answer{Mail: mailOf(s.Config)}
	}
	if err == nil {
		err = send(service, to)
	}
	if err == nil && len(to.got) == 0 {
		err = errors.New("nothing was sent")
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Requests: to.got}
}

// send sends a message to where nothing is taken further.
func send(service types.Service, to *nowhere) error {
	switch s := service.(type) {
	case *ntfy.Service:
		s.SetHTTPClient(&http.Client{Transport: to})
	case *gotify.Service:
		s.GetHTTPClient().Transport = to
	case *mattermost.Service:
		s.GetHTTPClient().Transport = to
	}
	return service.Send("message", nil)
}

func mailOf(c *smtp.Config) *mail {
	return &mail{
		Host: c.Host, Port: c.Port, User: c.Username, Password: c.Password, From: c.FromAddress, FromName: c.FromName, To: c.ToAddresses,
		Encryption: c.Encryption.String(), Required: c.RequireStartTLS, Client: c.ClientHost,
	}
}

func services() map[string]types.Service {
	return map[string]types.Service{
		"smtp": &smtp.Service{}, "ntfy": &ntfy.Service{}, "gotify": &gotify.Service{}, "slack": &slack.Service{}, "discord": &discord.Service{},
		"telegram": &telegram.Service{}, "matrix": &matrix.Service{}, "teams": &teams.Service{}, "mattermost": &mattermost.Service{},
		"googlechat": &googlechat.Service{}, "pushover": &pushover.Service{},
	}
}
