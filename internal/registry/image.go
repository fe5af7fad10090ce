package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Platform is what an engine runs: linux, arm64, and perhaps v8.
type Platform struct{ OS, Arch, Variant string }

// String writes it as docker does.
func (p Platform) String() string {
	text := p.OS + "/" + p.Arch
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// runsOn reports whether what was built for p runs on an engine. A variant counts only where both tell one.
func (p Platform) runsOn(engine Platform) bool {
	return p.OS == engine.OS && p.Arch == engine.Arch && (p.Variant == "" || engine.Variant == "" || p.Variant == engine.Variant)
}

// real tells platforms from what attestations stand under in an index.
func (p Platform) real() bool { return p.OS != "" && p.OS != "unknown" }

// Image is what a registry says of the image at a tag.
type Image struct {
	Digest    string     // of the tag: an index has its own
	Created   time.Time  // as its builder wrote it, which may be 1970; zero: not told. Of one for other platforms alone, that of the first
	Platforms []Platform // that it was built for
	Runs      bool       // one of them is the one that was asked for
	Layers    []Layer    // of the one that was asked for, the lowest first; none: it does not run there, or they are not told
}

// Layer is a part of an image.
type Layer struct {
	Content string // digest of what it holds unpacked, by which engines know it
	Packed  int64  // bytes, as it is pulled
}

// Image asks what the image at a tag (or a sha256 digest) is, and whether it was built for a platform. It reads the
// manifest, which Docker Hub counts as a pull, and the configuration.
func (c *Client) Image(ctx context.Context, image, tag string, want Platform) (Image, error) {
	ref, err := c.reference(image, tag)
	if err != nil {
		return Image{}, err
	}
	var found Image
	err = c.ask(ctx, imageTimeout, "look at "+inside(ref), func(ctx context.Context) (err error) {
		found, err = c.image(ctx, ref, want)
		return err
	})
	if err != nil {
		return Image{}, err
	}
	return found, nil
}

func (c *Client) image(ctx context.Context, ref name.Reference, want Platform) (Image, error) {
	got, err := c.manifest(ctx, ref)
	if err != nil {
		return Image{}, err
	}
	found := Image{Digest: got.Digest.String()}
	if !got.MediaType.IsIndex() {
		err := describe(got, &found, want)
		return found, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(got.Manifest, &index); err != nil {
		return Image{}, err
	}
	i := slices.IndexFunc(index.Manifests, func(d v1.Descriptor) bool { return platformOf(d.Platform).runsOn(want) })
	found.Runs = i >= 0
	for n, d := range index.Manifests {
		if p := platformOf(d.Platform); p.real() {
			found.Platforms = append(found.Platforms, p)
		} else if d.Platform != nil {
			continue
		}
		if i < 0 {
			i = n
		}
	}
	if i < 0 {
		return found, nil
	}
	child, err := c.manifest(ctx, ref.Context().Digest(index.Manifests[i].Digest.String()))
	if err != nil {
		return Image{}, err
	}
	alone := Image{}
	err = describe(child, &alone, want)
	found.Created = alone.Created
	if found.Runs {
		found.Layers = alone.Layers
	}
	return found, err
}

func platformOf(p *v1.Platform) Platform {
	if p == nil {
		return Platform{}
	}
	return Platform{OS: p.OS, Arch: p.Architecture, Variant: p.Variant}
}

// describe reads the configuration of an image that is no index.
func describe(got *remote.Descriptor, found *Image, want Platform) error {
	var m v1.Manifest
	if err := json.Unmarshal(got.Manifest, &m); err != nil {
		return err
	}
	if !m.Config.MediaType.IsConfig() {
		return nil // an artifact: it runs nowhere
	}
	img, err := got.Image()
	if err != nil {
		return err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("read its configuration: %w", err)
	}
	built := Platform{OS: file.OS, Arch: file.Architecture, Variant: file.Variant}
	found.Created, found.Platforms, found.Runs = file.Created.Time, []Platform{built}, built.runsOn(want)
	if found.Runs {
		found.Layers = layersOf(m, file)
	}
	return nil
}

// layersOf brings together what the manifest and the configuration of an image say of its layers; none where they do not fit.
func layersOf(m v1.Manifest, file *v1.ConfigFile) []Layer {
	if len(m.Layers) != len(file.RootFS.DiffIDs) {
		return nil
	}
	layers := make([]Layer, 0, len(m.Layers))
	for i, l := range m.Layers {
		if l.Size < 0 {
			return nil
		}
		layers = append(layers, Layer{Content: file.RootFS.DiffIDs[i].String(), Packed: l.Size})
	}
	return layers
}
