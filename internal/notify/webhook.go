package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The headers of a webhook, beside Idempotency-Key.
const (
	HeaderSignature = "X-Docker-Watcher-Signature"
	HeaderTimestamp = "X-Docker-Watcher-Timestamp"
)

// Payload is the body of a webhook; docs/notify-webhook.schema.json describes it.
type Payload struct {
	Version  int            `json:"version" enum:"1" doc:"of this form"`
	ID       string         `json:"id" doc:"of the message: the same in each attempt, also in the header Idempotency-Key"`
	Test     bool           `json:"test" doc:"somebody tries the channel"`
	Severity string         `json:"severity" enum:"info,warn,error" doc:"the worst of its events"`
	Title    string         `json:"title"`
	Text     string         `json:"text"`
	Count    int            `json:"count" minimum:"1" doc:"how many events it tells of"`
	Events   []PayloadEvent `json:"events" nullable:"false" maxItems:"50" doc:"oldest first; of more than 50 the first 50"`
}

// PayloadEvent is one event in a Payload.
type PayloadEvent struct {
	ID       string         `json:"id,omitempty" doc:"in the event log"`
	Time     string         `json:"time" format:"date-time" doc:"UTC"`
	Severity string         `json:"severity" enum:"info,warn,error"`
	Source   string         `json:"source"`
	Kind     string         `json:"kind" doc:"what happened, for programs: docs/events.md"`
	Message  string         `json:"message" doc:"what happened, for people"`
	Project  string         `json:"project,omitempty"`
	Stage    string         `json:"stage,omitempty"`
	Instance string         `json:"instance,omitempty" doc:"the name of its container"`
	Host     string         `json:"host,omitempty"`
	Actor    string         `json:"actor,omitempty"`
	Data     map[string]any `json:"data,omitempty" doc:"details, by kind"`
}

// payload is a letter as a webhook gets it.
func payload(l Letter) Payload {
	v := l.View
	p := Payload{Version: 1, ID: v.ID, Test: v.Test, Severity: v.Severity, Title: l.Title, Text: l.Text, Count: v.Count, Events: make([]PayloadEvent, 0, len(v.Events))}
	for _, e := range v.Events {
		j := PayloadEvent{
			Time: e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), Severity: e.Severity, Source: e.Source, Kind: e.Kind, Message: e.Message,
			Project: e.Project, Stage: e.Stage, Instance: e.Instance, Host: e.Host, Actor: e.Actor, Data: e.Data,
		}
		if e.ID != 0 {
			j.ID = strconv.FormatInt(e.ID, 10)
		}
		p.Events = append(p.Events, j)
	}
	return p
}

func (p post) webhook(ctx context.Context, u *url.URL, secret string, l Letter) (*http.Request, error) {
	body, err := json.Marshal(payload(l))
	if err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set(HeaderTimestamp, stamp)
	if secret != "" {
		r.Header.Set(HeaderSignature, Sign(secret, stamp, body))
	}
	return r, nil
}

// Sign is the signature of a body that was sent at a moment: sha256= and the HMAC of moment, dot and body, in hex.
func Sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
