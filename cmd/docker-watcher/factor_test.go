package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238
	"encoding/base32"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tiny-forge/docker-watcher/client"
)

// second-factor FILE: whoever is signed in sets a second factor up with the password in the file; RECOVERY is one of the codes.
func cmdSecondFactor(ts *testscript.TestScript, _ *world, args []string) {
	text, err := os.ReadFile(ts.MkAbs("config/docker-watcher/credentials.json"))
	ts.Check(err)
	var kept credentials
	ts.Check(json.Unmarshal(text, &kept))
	api, err := client.New(kept.Current, client.WithCredential(kept.Servers[kept.Current].Credential))
	ts.Check(err)
	ctx := context.Background()
	offer, err := api.OfferSecondFactor(ctx, strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(offer.Secret)
	ts.Check(err)
	mac := hmac.New(sha1.New, key)
	mac.Write(wire.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30)))
	sum := mac.Sum(nil)
	codes, err := api.ConfirmSecondFactor(ctx, fmt.Sprintf("%06d", wire.BigEndian.Uint32(sum[sum[19]&0xf:])&0x7fffffff%1_000_000))
	ts.Check(err)
	ts.Setenv("RECOVERY", codes[0])
}
