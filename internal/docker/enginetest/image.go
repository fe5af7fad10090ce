package enginetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const appPackage = "github.com/tiny-forge/docker-watcher/internal/docker/enginetest/app"

// AppPort is where the app listens unless its PORT says otherwise.
const AppPort = 8080

// BuildApp compiles the tiny app into dir, as a static binary for an image with nothing else in it.
func BuildApp(ctx context.Context, dir string) (path string, err error) {
	path = filepath.Join(dir, "app")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, appPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the app: %w: %s", err, out)
	}
	return path, nil
}

// ImageOption changes the app's image.
type ImageOption func(*v1.Config)

// WithHealthcheck gives the image a HEALTHCHECK that asks the app's /healthz.
func WithHealthcheck(interval time.Duration) ImageOption {
	return func(c *v1.Config) {
		c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "/app", "check"}, Interval: interval, Timeout: 2 * time.Second, Retries: 3}
	}
}

// WithEnv adds environment of the image, as KEY=value.
func WithEnv(env ...string) ImageOption {
	return func(c *v1.Config) { c.Env = append(c.Env, env...) }
}

// WithLabels adds labels of the image.
func WithLabels(labels map[string]string) ImageOption {
	return func(c *v1.Config) { maps.Copy(c.Labels, labels) }
}

// WithVolume makes the image ask for a volume at a path: an anonymous one unless the container names it.
func WithVolume(path string) ImageOption {
	return func(c *v1.Config) {
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		c.Volumes[path] = struct{}{}
	}
}

// PushApp makes an image of the built app and pushes it to a registry, without an engine.
func PushApp(ctx context.Context, appPath, ref, version string, opts ...ImageOption) error {
	return PushAppAs(ctx, Login{}, appPath, ref, version, opts...)
}

// PushAppAs pushes it to a registry that wants a login.
func PushAppAs(ctx context.Context, login Login, appPath, ref, version string, opts ...ImageOption) error {
	tag, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	img, err := appImage(appPath, version, opts)
	if err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	if err := remote.Write(tag, img, remote.WithContext(ctx), remote.WithAuth(login.auth())); err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	return nil
}

func (l Login) auth() authn.Authenticator {
	if l == (Login{}) {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{Username: l.Username, Password: l.Password})
}

// AppArchive makes an image of the built app as a docker-archive, for an engine without a registry.
func AppArchive(appPath, ref, version string, opts ...ImageOption) (io.Reader, error) {
	tag, err := name.NewTag(ref)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", ref, err)
	}
	img, err := appImage(appPath, version, opts)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", ref, err)
	}
	var out bytes.Buffer
	if err := tarball.Write(tag, img, &out); err != nil {
		return nil, fmt.Errorf("archive %s: %w", ref, err)
	}
	return &out, nil
}

func appImage(appPath, version string, opts []ImageOption) (v1.Image, error) {
	layer, err := appLayer(appPath)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("add the app's layer: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's config: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Entrypoint:   []string{"/app"},
		Env:          []string{"VERSION=" + version},
		ExposedPorts: map[string]struct{}{fmt.Sprintf("%d/tcp", AppPort): {}},
		Labels:       map[string]string{},
	}
	for _, set := range opts {
		set(&file.Config)
	}
	return mutate.ConfigFile(img, file)
}

func appLayer(appPath string) (v1.Layer, error) {
	app, err := os.ReadFile(appPath)
	if err != nil {
		return nil, fmt.Errorf("read the app: %w", err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(app)), Typeflag: tar.TypeReg}); err != nil {
		return nil, fmt.Errorf("pack the app: %w", err)
	}
	if _, err := w.Write(app); err != nil {
		return nil, fmt.Errorf("pack the app: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the app: %w", err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.NoCompression)) // it is packed anew for each image, and packing is slow under the race detector
}
