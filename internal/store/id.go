package store

import (
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
// clock is set back, it counts on from the last one.
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
