package deploy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

const (
	// plenty is so much free space that no image is asked for its size: registries count that question, too.
	plenty = 100_000_000_000
	// unpackedTimes is how many times of its packed size an image commonly takes on an engine. It is said, and refuses nothing: how much
	// an image takes unpacked no registry tells.
	unpackedTimes = 3
	// lookFor bounds the look at which layers an engine has.
	lookFor = 30 * time.Second
)

// errNoRoom ends a deploy that the engine has no room for.
var errNoRoom = errors.New("the engine has not enough free space")

// Layer is a part of an image as its registry has it.
type Layer struct {
	Content string // digest of what it holds unpacked, by which engines know it
	Packed  int64  // bytes that are pulled
}

// Platform is what an engine runs: linux, arm, v7. What is empty is not known.
type Platform struct{ OS, Arch, Variant string }

// Measure asks the registry of an image of which layers it consists on a platform, the lowest first. An error says why that is not
// known.
type Measure func(ctx context.Context, image, tag string, on Platform) ([]Layer, error)

// MeasureBy sets who knows the sizes of images before they are pulled. Set before use; without it they are found out by the pull.
func (d *Deployer) MeasureBy(m Measure) { d.measure = m }

// makeSureOfRoom compares what an image needs at least with what is free, before its pull begins. It returns how many bytes are free,
// -1: not known. What is not known refuses nothing: the pull itself finds out.
func (r *rollout) makeSureOfRoom(ctx context.Context, ref string, engine docker.Info) (int64, error) {
	room, err := r.eng.Room(ctx)
	if err != nil {
		room = docker.Room{Bytes: -1, Why: err.Error()}
	}
	if room.Bytes < 0 {
		r.tell.note(ctx, "free space of the engine: not known: "+room.Why)
		return -1, nil
	}
	free := "free space of the engine: " + megabytes(room.Bytes)
	if room.Bytes >= plenty {
		r.tell.note(ctx, free)
		return room.Bytes, nil
	}
	layers, err := r.layersOf(ctx, engine)
	if err != nil {
		r.tell.note(ctx, fmt.Sprintf("%s; the size of the image is not known before its pull: %v", free, err))
		return room.Bytes, nil
	}
	need := packed(layers)
	r.tell.note(ctx, fmt.Sprintf("%s; the image is %s packed", free, megabytesUp(need)))
	if need <= room.Bytes {
		if need > room.Bytes/unpackedTimes {
			r.tell.note(ctx, fmt.Sprintf("it may not fit: unpacked an image commonly takes up to %d times that, and what that is no registry tells", unpackedTimes))
		}
		return room.Bytes, nil
	}
	have, err := r.onEngine(ctx, layers)
	if err != nil {
		r.tell.note(ctx, fmt.Sprintf("which parts of it the engine has is not known (%v): the pull will find out whether it fits", err))
		return room.Bytes, nil
	}
	if more := packed(layers[have:]); more > room.Bytes {
		return room.Bytes, because(fmt.Errorf("pull %s: %w: %s", ref, errNoRoom, needWords(need, more, room.Bytes)), freeSpace)
	}
	r.tell.note(ctx, fmt.Sprintf("%d of its %d layers are on the engine already", have, len(layers)))
	return room.Bytes, nil
}

func (r *rollout) layersOf(ctx context.Context, engine docker.Info) ([]Layer, error) {
	if r.measure == nil {
		return nil, errors.New("nobody here asks registries")
	}
	tag := r.inst.ImageTag
	if digestForm.MatchString(r.dep.Digest) {
		tag = r.dep.Digest
	}
	return r.measure(ctx, r.inst.Image, tag, platformOf(engine))
}

// onEngine is how many of an image's layers, from the lowest on, the engine has: a layer is only the same on the same ones below it.
func (r *rollout) onEngine(ctx context.Context, layers []Layer) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	ids, err := r.eng.ImageIDs(ctx)
	if err != nil {
		return 0, err
	}
	most := 0
	for id := range ids {
		image, err := r.eng.InspectImage(ctx, id)
		if errors.Is(err, docker.ErrNotFound) {
			continue
		} else if err != nil {
			return 0, err
		}
		most = max(most, shared(layers, image.Layers))
	}
	return most, nil
}

// shared is how many layers, from the lowest on, are the same.
func shared(layers []Layer, there []string) int {
	n := 0
	for n < len(layers) && n < len(there) && layers[n].Content != "" && layers[n].Content == there[n] {
		n++
	}
	return n
}

// packed is what layers take at least: packed as they are pulled, and one that comes twice once.
func packed(layers []Layer) int64 {
	seen := map[Layer]bool{}
	var sum int64
	for _, l := range layers {
		if !seen[l] {
			sum += l.Packed
		}
		seen[l] = true
	}
	return sum
}

// noRoom says why a pull that goes on cannot end well. Layers are packed while they are pulled and take more than that on the
// engine: what already does not fit packed never will. Free below zero is not known.
func noRoom(packed, free int64) string {
	if free < 0 || packed <= free {
		return ""
	}
	return needWords(packed, packed, free)
}

// needWords say what an image of so many bytes needs at least beside what the engine has of it.
func needWords(whole, more, free int64) string {
	if more < whole {
		return fmt.Sprintf("of the %s of the image it has a part already, the rest needs at least %s, %s are free", megabytesUp(whole), megabytesUp(more), megabytes(free))
	}
	return fmt.Sprintf("the image needs at least %s, %s are free", megabytesUp(more), megabytes(free))
}

func megabytes(n int64) string { return strconv.FormatInt(n/1_000_000, 10) + " MB" }

// megabytesUp is for what is needed, so that it never looks like less than what is free when it is more.
func megabytesUp(n int64) string { return megabytes(n + 999_999) }

// platformOf is what an engine runs, in the words of images.
func platformOf(engine docker.Info) Platform {
	p := Platform{OS: engine.OS, Arch: arch(engine.Arch)}
	if kernel, version, _ := strings.Cut(strings.ToLower(engine.Arch), "v"); kernel == "arm" && version != "" {
		p.Variant = "v" + version[:1]
	}
	return p
}
