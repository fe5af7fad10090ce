package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/moby/moby/client"
)

// get asks without the client, for the two answers that matter most: the list, whose rows cost the client
// twice the time and four times the memory, and the event stream, of which the client does not say
// whether it was opened or refused.
func (e *Engine) get(ctx context.Context, s *session, path string, query url.Values, filters client.Filters) (io.ReadCloser, error) {
	if len(filters) > 0 {
		text, err := json.Marshal(filters)
		if err != nil {
			return nil, fmt.Errorf("write the filters: %w", err)
		}
		query.Set("filters", string(text))
	}
	return e.send(ctx, s, http.MethodGet, path, query, nil)
}

// post sends what the client has no words for, and reads the answer unless into is nil.
func (e *Engine) post(ctx context.Context, s *session, path string, query url.Values, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	answer, err := e.send(ctx, s, http.MethodPost, path, query, text)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }() // all of it was read, or the read's error is told
	if into == nil {
		_, err = io.Copy(io.Discard, answer)
		return err
	}
	return json.NewDecoder(answer).Decode(into)
}

func (e *Engine) send(ctx context.Context, s *session, method, path string, query url.Values, body []byte) (io.ReadCloser, error) {
	host := client.DummyHost
	if rest, ok := strings.CutPrefix(e.endpoint, "tcp://"); ok {
		host = strings.TrimSuffix(rest, "/")
	}
	address := url.URL{Scheme: "http", Host: host, Path: "/v" + s.cli.ClientVersion() + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := e.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusOK && resp.StatusCode < http.StatusMultipleChoices {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }() // its error text was read
	return nil, errorOfStatus(resp)
}
