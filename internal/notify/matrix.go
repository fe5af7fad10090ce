package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// matrix sends a letter to each room, whatever became of it in the others. Where it has to be sent again, it goes to all of them again, by the
// same ids.
func (p post) matrix(ctx context.Context, u *url.URL, l Letter) (answer string, err error) {
	all := rooms(u)
	failed := roomsError{of: len(all)}
	for i, room := range all {
		said, err := p.room(ctx, u, i, room, l)
		if err != nil {
			failed.at, failed.why = append(failed.at, i+1), append(failed.why, err)
		}
		if said != "" {
			answer = said
		}
	}
	if len(failed.at) > 0 {
		return answer, failed
	}
	return answer, nil
}

// room sends a letter to the room at a place of the URL, in its share of the time: one that is waited for in vain leaves theirs to the
// others.
func (p post) room(ctx context.Context, u *url.URL, place int, room string, l Letter) (answer string, err error) {
	sharing, cancel := shared(ctx, len(rooms(u))-place)
	defer cancel()
	id, err := p.resolved(sharing, u, room)
	if err == nil {
		answer, err = p.say(sharing, u, place, id, l)
	}
	if errors.Is(sharing.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded) {
		return answer, errors.New("it did not answer in time")
	}
	return answer, err
}

// shared gives one of several an equal share of the time that is left.
func shared(ctx context.Context, among int) (context.Context, context.CancelFunc) {
	until, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(until)/time.Duration(among))
}

// say sends a letter to a room under an id of a transaction, by which the server tells doubles.
func (p post) say(ctx context.Context, u *url.URL, place int, id string, l Letter) (answer string, err error) {
	r, err := asMatrix(ctx, u, http.MethodPut, "rooms/"+url.PathEscape(id)+"/send/m.room.message/"+url.PathEscape(l.View.ID+"-"+strconv.Itoa(place)),
		map[string]any{"msgtype": "m.text", "body": cut(joined(l), mostChat)})
	if err != nil {
		return "", err
	}
	return p.do(ctx, r, l)
}

func asMatrix(ctx context.Context, u *url.URL, method, path string, body any) (*http.Request, error) {
	token, _ := u.User.Password()
	r, err := asJSON(ctx, method, web(u, said(u, "disabletls"), "_matrix/client/v3/"+path, ""), body)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r, err
}

// resolved is the id of a room, for a message can be sent to nothing else. A room that is named by an alias is joined for that, which
// changes nothing where it was joined before.
func (p post) resolved(ctx context.Context, u *url.URL, room string) (id string, err error) {
	if room[0] != '#' {
		return room, nil
	}
	r, err := asMatrix(ctx, u, http.MethodPost, "join/"+url.PathEscape(room), map[string]any{})
	if err != nil {
		return "", err
	}
	_, body, err := p.ask(ctx, r)
	if status, is := errors.AsType[statusError](err); is {
		status.before = true
		return "", status
	}
	if err != nil {
		return "", err
	}
	var said struct {
		ID string `json:"room_id"`
	}
	if err := json.Unmarshal(body, &said); err != nil || !strings.HasPrefix(said.ID, "!") {
		return "", errors.New("the server does not say which room the alias is of")
	}
	return said.ID, nil
}

// roomsError is why some rooms, or all, did not get a letter. They are told by their places in the URL, the first is 1: their names are
// as secret as that.
type roomsError struct {
	of  int // rooms in the URL
	at  []int
	why []error // of each
}

func (e roomsError) Error() string { return e.failure().Text }

// failure is that of the attempt: for ever where each is, and as long to be left alone as the most patient of them wants to be.
func (e roomsError) failure() Failure {
	all := Failure{Permanent: true}
	var texts []string
	places := map[string][]string{} // by the text
	for i, err := range e.why {
		f := failureOf(err)
		all.Permanent, all.After = all.Permanent && f.Permanent, max(all.After, f.After)
		if !slices.Contains(texts, f.Text) {
			texts = append(texts, f.Text)
		}
		places[f.Text] = append(places[f.Text], strconv.Itoa(e.at[i]))
	}
	if len(texts) == 1 && len(e.at) == e.of {
		all.Text = texts[0] // it is not the rooms
		return all
	}
	for i, text := range texts {
		texts[i] = fmt.Sprintf("room %s of %d: %s", strings.Join(places[text], ", "), e.of, text)
	}
	all.Text = strings.Join(texts, "; ")
	return all
}
