package store

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync"
	"time"
)

var (
	idText  = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
	idMu    sync.Mutex
	idMilli uint64
	idTail  uint32
)

// NewID returns a fresh id: 16 characters of lower-case base32, rising with time.
// 48 bits are the milliseconds, 32 are random; within a millisecond, and while the
// clock is set back, it counts on from the last one, or from the newest in a store that was opened.
func NewID() string {
	idMu.Lock()
	defer idMu.Unlock()
	var b [10]byte
	rand.Read(b[6:]) // never fails
	tail := binary.BigEndian.Uint32(b[6:])
	if milli := uint64(time.Now().UnixMilli()); milli > idMilli {
		idMilli, idTail = milli, tail
	} else if step := tail%1024 + 1; idTail > ^step {
		idMilli, idTail = idMilli+1, tail
	} else {
		idTail += step
	}
	var whole [8]byte
	binary.BigEndian.PutUint64(whole[:], idMilli)
	copy(b[:6], whole[2:])
	binary.BigEndian.PutUint32(b[6:], idTail)
	return idText.EncodeToString(b[:])
}

// latestID is beyond what any clock says: 2^47 milliseconds are some 4,400 years.
const latestID = 1 << 47

// countOnFrom has all further ids come after one; of a text that is none of ours nothing follows.
func countOnFrom(id string) {
	b, err := idText.DecodeString(id)
	if err != nil || len(b) != 10 {
		return
	}
	milli, tail := binary.BigEndian.Uint64(append([]byte{0, 0}, b[:6]...)), binary.BigEndian.Uint32(b[6:])
	idMu.Lock()
	defer idMu.Unlock()
	if milli < latestID && (milli > idMilli || milli == idMilli && tail > idTail) {
		idMilli, idTail = milli, tail
	}
}

// countOn has all further ids come after those of what is listed by its id, newest first. Else what was made while the clock ran ahead would be the newest
// until then, whatever came after it.
func (q queries) countOn(ctx context.Context) error {
	newest, err := list(ctx, q, "find the newest ids", func(r row) (id string, err error) { return id, r.Scan(text{&id}) },
		`SELECT MAX(id) FROM deploys UNION ALL SELECT MAX(id) FROM plans UNION ALL SELECT MAX(id) FROM reclaim_plans UNION ALL SELECT MAX(id) FROM instances`)
	for _, id := range newest {
		countOnFrom(id)
	}
	return err
}
