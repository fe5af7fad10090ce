package notify

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestRoomsByTheirAliases: a message can be sent to the id of a room only.
func TestRoomsByTheirAliases(t *testing.T) {
	const url = "matrix://:syt@m.example/?room=!a:m.example,ops:m.example&disabletls=yes"
	net := &network{gave: func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return answered(http.StatusOK, `{"room_id":"!b:m.example"}`), nil
		}
		return answered(http.StatusOK, `{"event_id":"$1"}`), nil
	}}
	if _, failure := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: url}, sample()); failure != nil {
		t.Fatal(failure)
	}
	for i, want := range []string{
		"PUT http://m.example/_matrix/client/v3/rooms/%21a:m.example/send/m.room.message/m1-0 | Bearer syt |",
		"POST http://m.example/_matrix/client/v3/join/%23ops:m.example | Bearer syt | {}",
		"PUT http://m.example/_matrix/client/v3/rooms/%21b:m.example/send/m.room.message/m1-1 | Bearer syt |",
	} {
		if len(net.got) != 3 || !strings.HasPrefix(net.got[i], want) {
			t.Fatalf("%q, want %s", net.got, want)
		}
	}
	for what, answer := range map[string]struct {
		status int
		body   string
	}{
		"no such room": {http.StatusBadRequest, `{"errcode":"M_INVALID_PARAM"}`}, "no id": {http.StatusOK, `{}`},
		"another alias": {http.StatusOK, `{"room_id":"#x:y"}`}, "no JSON": {http.StatusOK, `<html>`},
	} {
		net := &network{gave: func(*http.Request) (*http.Response, error) { return answered(answer.status, answer.body), nil }}
		_, failure := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: "matrix://:syt@m.example/?rooms=ops:m.example"}, sample())
		if failure == nil || failure.Permanent || len(net.got) != 1 {
			t.Errorf("%s: %+v, %q", what, failure, net.got)
		}
	}
}

// fourRooms answers for them; while they are ill, one cannot be joined and one not be written to.
func fourRooms(r *http.Request, ill bool) *http.Response {
	switch {
	case ill && strings.HasSuffix(r.URL.Path, "/join/#shut:m.example"):
		return answered(http.StatusForbidden, `{"errcode":"M_FORBIDDEN","room":"#shut:m.example"}`)
	case ill && strings.Contains(r.URL.Path, "/!gone:"):
		return answered(http.StatusTooManyRequests, "later")
	case r.Method == http.MethodPost:
		_, alias, _ := strings.Cut(r.URL.Path, "/join/#")
		return answered(http.StatusOK, `{"room_id":"!of-`+alias+`"}`)
	}
	return answered(http.StatusOK, `{"event_id":"$1"}`)
}

// put are the rooms that were written to, each with the end of the id of its transaction, and those ids without it.
func (n *network) put(t *testing.T) (rooms, ids []string) {
	t.Helper()
	for _, line := range n.got {
		if rest, is := strings.CutPrefix(line, "PUT https://m.example/_matrix/client/v3/rooms/%21"); is {
			room, rest, _ := strings.Cut(rest, ":m.example/send/m.room.message/")
			id, _, _ := strings.Cut(rest, " ")
			id, place, found := strings.Cut(id, "-")
			if !found {
				t.Errorf("no place of the room in %s", line)
			}
			rooms, ids = append(rooms, room+" "+place), append(ids, id)
		}
	}
	return rooms, ids
}

// TestARoomThatFailsKeepsTheMessageFromNoOther, and the message is sent again, under the same ids, until all have taken it.
func TestARoomThatFailsKeepsTheMessageFromNoOther(t *testing.T) {
	ill := true
	net := &network{gave: func(r *http.Request) (*http.Response, error) { return fourRooms(r, ill), nil }}
	b := newBed(t, func(o *Options) { o.Transport = net })
	b.rule("all", []store.Channel{b.channel("ops", "matrix://:syt@m.example/?rooms=shut:m.example,!a:m.example,ops:m.example,!gone:m.example")})
	b.happens(stale(1)...)
	b.pass(dawn)
	waits := b.outbox(store.MessagePending)
	if len(waits) != 1 || waits[0].Attempts != 1 || b.kinds("channel.failing") != 1 || b.kinds("message.dead") != 0 {
		t.Fatalf("%+v, failing %d, dead %d", waits, b.kinds("channel.failing"), b.kinds("message.dead"))
	}
	if why := waits[0].Error; !strings.HasPrefix(why, "room 1 of 4: it answered 403") || !strings.Contains(why, "; room 4 of 4: it answered 429") || strings.Contains(why, "m.example") {
		t.Error(why)
	}
	first, _ := net.put(t)
	if strings.Join(first, ", ") != "a 1, of-ops 2, gone 3" {
		t.Errorf("written to %v", first)
	}
	ill = false
	b.pass(dawn.Add(2 * time.Hour))
	all, ids := net.put(t)
	if strings.Join(all[len(first):], ", ") != "of-shut 0, a 1, of-ops 2, gone 3" || len(slices.Compact(ids)) != 1 || ids[0] != waits[0].ID {
		t.Errorf("written to %v then, as %v", all[len(first):], ids)
	}
	if len(b.outbox(store.MessageSent)) != 1 || b.kinds("channel.recovered") != 1 {
		t.Errorf("%+v", b.outbox(""))
	}
}

// TestWhatBecomesOfAMessageToRooms: it is given up where all that did not take it refuse it for what it is.
func TestWhatBecomesOfAMessageToRooms(t *testing.T) {
	for name, c := range map[string]struct {
		answers [3]int
		want    Failure
	}{
		"one refuses it":          {[3]int{200, 400, 200}, Failure{Text: "room 2 of 3: it answered 400 Bad Request: no", Permanent: true}},
		"one does, and one waits": {[3]int{400, 503, 200}, Failure{Text: "room 1 of 3: it answered 400 Bad Request: no; room 2 of 3: it answered 503 Service Unavailable: no"}},
		"some fail alike":         {[3]int{403, 200, 403}, Failure{Text: "room 1, 3 of 3: it answered 403 Forbidden: no"}},
		"it is none of the rooms": {[3]int{401, 401, 401}, Failure{Text: "it answered 401 Unauthorized: no"}},
		"one wants to be let be":  {[3]int{429, 200, 500}, Failure{Text: "room 1 of 3: it answered 429 Too Many Requests: no; room 3 of 3: it answered 500 Internal Server Error: no", After: time.Minute}},
		"all refuse it":           {[3]int{413, 413, 413}, Failure{Text: "it answered 413 Request Entity Too Large: no", Permanent: true}},
	} {
		next := 0
		net := &network{gave: func(*http.Request) (*http.Response, error) {
			resp := answered(c.answers[next], "no")
			if resp.StatusCode == http.StatusTooManyRequests {
				resp.Header.Set("Retry-After", "60")
			}
			next++
			return resp, nil
		}}
		_, failure := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: "matrix://:syt@m.example/?rooms=!a:m.example,!b:m.example,!c:m.example"}, sample())
		if failure == nil || *failure != c.want || len(net.got) != 3 {
			t.Errorf("%s: %+v, %d requests", name, failure, len(net.got))
		}
	}
}

// TestARoomThatIsWaitedForInVain leaves the others their share of the time.
func TestARoomThatIsWaitedForInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{gave: func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return answered(http.StatusOK, `{"event_id":"$1"}`), nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), sendTimeout)
		defer cancel()
		_, failure := newPost(Options{Transport: net}).send(ctx, store.ChannelAddress{URL: "matrix://:syt@m.example/?rooms=far:away.example,!a:m.example"}, sample())
		if failure == nil || failure.Permanent || failure.Text != "room 1 of 2: it did not answer in time" {
			t.Errorf("%+v", failure)
		}
		if rooms, _ := net.put(t); strings.Join(rooms, ", ") != "a 1" {
			t.Errorf("written to %v", rooms)
		}
	})
}
