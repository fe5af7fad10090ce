package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// matrix sends under an id of a transaction, by which the server tells doubles.
func matrix(ctx context.Context, u *url.URL, l Letter) (all []*http.Request, err error) {
	for i, room := range rooms(u) {
		r, err := asMatrix(ctx, u, http.MethodPut, "rooms/"+url.PathEscape(room)+"/send/m.room.message/"+url.PathEscape(l.View.ID+"-"+strconv.Itoa(i)),
			map[string]any{"msgtype": "m.text", "body": cut(joined(l), mostChat)})
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func asMatrix(ctx context.Context, u *url.URL, method, path string, body any) (*http.Request, error) {
	token, _ := u.User.Password()
	r, err := asJSON(ctx, method, web(u, said(u, "disabletls"), "_matrix/client/v3/"+path, ""), body)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r, err
}

// resolved is a channel whose rooms are all named by their ids, for a message can be sent to nothing else. A room that is named by an
// alias is joined for that, which changes nothing where it was joined before.
func (p post) resolved(ctx context.Context, a address) (address, error) {
	ids := rooms(a.url)
	for i, room := range ids {
		if room[0] != '#' {
			continue
		}
		r, err := asMatrix(ctx, a.url, http.MethodPost, "join/"+url.PathEscape(room), map[string]any{})
		if err != nil {
			return a, err
		}
		_, body, err := p.ask(ctx, r)
		if status, is := errors.AsType[statusError](err); is {
			status.before = true
			err = status
		}
		if err != nil {
			return a, err
		}
		var said struct {
			ID string `json:"room_id"`
		}
		if err := json.Unmarshal(body, &said); err != nil || !strings.HasPrefix(said.ID, "!") {
			return a, errors.New("the server does not say which room the alias is of")
		}
		ids[i] = said.ID
	}
	to, query := *a.url, a.url.Query()
	for name := range query {
		if strings.EqualFold(name, "room") || strings.EqualFold(name, "rooms") {
			query.Del(name)
		}
	}
	query["rooms"] = ids
	to.RawQuery = query.Encode()
	return address{kind: a.kind, url: &to}, nil
}
