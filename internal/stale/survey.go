package stale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// ConflictKind says what is in the way of a restore.
type ConflictKind string

// The kinds of conflicts. Those without a choice end the matter.
const (
	ConflictName     ConflictKind = "name_taken"     // choice: name
	ConflictPort     ConflictKind = "port_taken"     // choice: any_port
	ConflictNetwork  ConflictKind = "network_gone"   // choices: skip_networks, make_networks
	ConflictImage    ConflictKind = "image_gone"     // choice: pull_image
	ConflictVolume   ConflictKind = "volume_gone"    // choice: empty_volumes
	ConflictRoute    ConflictKind = "route_taken"    // choice: skip_routes
	ConflictStage    ConflictKind = "stage_gone"     // none
	ConflictInstance ConflictKind = "instance_there" // none: it is not removed, or was restored
	ConflictHost     ConflictKind = "host"           // none: unreachable, frozen or another engine
)

// Conflict is one thing in the way of a restore, with the choices that would settle it.
type Conflict struct {
	Kind    ConflictKind
	Subject string
	Detail  string
	Choices []string // names of API fields
}

// RestoreCheck says what a restore would do, before anything is made.
type RestoreCheck struct {
	Archive   store.Archive
	Conflicts []Conflict // not settled by the choices given
	Brings    []string   // in words: what comes back
	Lacks     []string   // in words: what does not
}

// CheckRestore tells what is in the way of a restore; nothing is touched.
func (c *Cleaner) CheckRestore(ctx context.Context, archiveID string, ch Choices) (RestoreCheck, error) {
	s, err := c.survey(ctx, archiveID, ch)
	if err != nil {
		return RestoreCheck{}, err
	}
	return s.check, nil
}

// restoring is one restore: what it goes by, what is in its way and what it is to make.
type restoring struct {
	c        *Cleaner
	archive  store.Archive
	contents store.ArchiveContents
	old      docker.Container // as it was; zero when it had been gone
	choices  Choices
	on       standing
	check    RestoreCheck

	asked        asked
	image        string // to make it from
	pull         string // to be pulled first
	makeNetworks []string
	skipNetworks []string
}

// survey looks at all that a restore needs.
func (c *Cleaner) survey(ctx context.Context, archiveID string, ch Choices) (*restoring, error) {
	s := &restoring{c: c, choices: ch}
	if err := s.open(ctx, archiveID); err != nil {
		return nil, err
	}
	s.brings("the container %s, not running, with its configuration, environment and labels", s.asked.Name)
	if s.archive.LayerNote != "" {
		s.lacks("%s", s.archive.LayerNote)
	}
	if err := s.askStore(ctx); err != nil {
		return nil, err
	}
	if there, err := s.askHost(ctx); err != nil || !there {
		return s, err
	}
	for _, ask := range []func(context.Context) error{s.askName, s.askPorts, s.askNetworks, s.askImage, s.askVolumes} {
		if err := ask(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBlind, err)
		}
	}
	return s, nil
}

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// open reads the archive.
func (s *restoring) open(ctx context.Context, id string) (err error) {
	if s.choices.Name != "" && !containerName.MatchString(s.choices.Name) {
		return store.FieldError{Field: "name", Reason: "a container's name has letters, digits and _ . - and begins with a letter or digit"}
	}
	if s.archive, err = s.c.db.Archive(ctx, id); err != nil {
		return err
	}
	if s.archive.State != store.ArchiveReady && s.archive.State != store.ArchiveRestored {
		return fmt.Errorf("%w: its archive is %s", ErrNotRestorable, s.archive.State)
	}
	if s.contents, err = s.c.db.ArchiveContents(ctx, id); err != nil {
		return err
	}
	if len(s.contents.Inspect) > 0 {
		if s.old, err = docker.ReadInspect(s.contents.Inspect); err != nil {
			return err
		}
	}
	s.check.Archive = s.archive
	s.asked.Name, s.asked.Routes = s.archive.Name, s.archive.Routes
	if s.choices.Name != "" {
		s.asked.Name = s.choices.Name
	}
	return nil
}

func (s *restoring) conflict(kind ConflictKind, subject, detail string, choices ...string) {
	s.check.Conflicts = append(s.check.Conflicts, Conflict{Kind: kind, Subject: subject, Detail: detail, Choices: choices})
}

func (s *restoring) brings(format string, args ...any) {
	s.check.Brings = append(s.check.Brings, fmt.Sprintf(format, args...))
}

func (s *restoring) lacks(format string, args ...any) {
	s.check.Lacks = append(s.check.Lacks, fmt.Sprintf(format, args...))
}

// askStore looks for its stage, for itself, and for the addresses of its routes.
func (s *restoring) askStore(ctx context.Context) error {
	a := s.archive
	_, err := s.c.db.Stage(ctx, a.StageID)
	if errors.Is(err, store.ErrNotFound) {
		s.conflict(ConflictStage, a.Project+"/"+a.Stage, fmt.Sprintf("the stage %s/%s was deleted", a.Project, a.Stage))
	} else if err != nil {
		return err
	}
	there, err := s.c.db.Instance(ctx, a.InstanceID)
	switch {
	case a.State == store.ArchiveRestored:
		s.conflict(ConflictInstance, a.InstanceID, fmt.Sprintf("it was restored by %s at %s", a.RestoredBy, moment(a.RestoredAt)))
	case err == nil:
		s.conflict(ConflictInstance, a.InstanceID, fmt.Sprintf("it is there: %s is %s", there.Name, there.Status))
	case !errors.Is(err, store.ErrNotFound):
		return err
	default:
		return s.askRoutes(ctx)
	}
	return nil // its routes are there with it
}

func (s *restoring) askRoutes(ctx context.Context) error {
	var kept []store.ArchivedRoute
	for _, route := range s.archive.Routes {
		holders, err := s.c.db.AddressHolders(ctx, route.Domains)
		if err != nil {
			return err
		}
		words := routeWords(route)
		switch {
		case len(holders) == 0:
			kept = append(kept, route)
			s.brings("the route %s", words)
		case s.choices.SkipRoutes:
			s.lacks("the route %s: %s", words, holderWords(holders))
		default:
			s.conflict(ConflictRoute, words, holderWords(holders), "skip_routes")
		}
	}
	s.asked.Routes = kept
	return nil
}

func holderWords(holders map[store.RouteAddress]string) string {
	words := make([]string, 0, len(holders))
	for address, name := range holders {
		if name == "" {
			name = "somewhere else"
		}
		words = append(words, fmt.Sprintf("%s%s leads to %s now", address.Domain, address.PathPrefix, name))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func routeWords(r store.ArchivedRoute) string {
	addresses := make([]string, len(r.Domains))
	for i, d := range r.Domains {
		addresses[i] = d.Domain + d.PathPrefix
	}
	return strings.Join(addresses, ", ")
}

// askHost tells whether its engine answers and may be acted on.
func (s *restoring) askHost(ctx context.Context) (bool, error) {
	on, err := s.c.openHostBook().same(ctx, s.archive.HostID)
	s.on = on
	old := s.contents.Instance.EngineID
	switch {
	case errors.Is(err, ErrBlind), errors.Is(err, ErrFrozen), errors.Is(err, store.ErrNotFound):
		s.conflict(ConflictHost, s.archive.HostID, err.Error())
	case err != nil:
		return false, err
	case !on.host.FrozenSince.IsZero():
		s.conflict(ConflictHost, on.host.Name, fmt.Sprintf("%s is frozen: %s", on.host.Name, on.host.FrozenReason))
	case !on.sameEngine(old, ""):
		s.conflict(ConflictHost, on.host.Name, fmt.Sprintf("what was kept of it is on the engine %s, and %s has another one now", old, on.host.Name))
	default:
		return true, nil
	}
	return false, nil
}

func (s *restoring) askName(ctx context.Context) error {
	ct, err := inspect(ctx, s.on.engine, s.asked.Name)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return nil
	case err != nil:
		return err
	case ct.Name == s.asked.Name: // else the name is the beginning of another one's id
		s.conflict(ConflictName, s.asked.Name, fmt.Sprintf("a container named %s is there (%s, %s)", s.asked.Name, ct.ID[:min(12, len(ct.ID))], ct.State), "name")
	}
	return nil
}

// askPorts looks for host ports that another container holds. They would be missed at the start only, which is
// late for a choice.
func (s *restoring) askPorts(ctx context.Context) error {
	wanted := s.ports()
	if len(wanted) == 0 {
		return nil
	}
	if s.choices.AnyPort {
		s.lacks("its host ports: the engine chooses others")
		return nil
	}
	held, err := s.on.engine.PublishedPorts(ctx)
	if err != nil {
		return err
	}
	for _, p := range wanted {
		text := portWords(p)
		if holder := holderOf(p, held); holder != "" {
			s.conflict(ConflictPort, text, fmt.Sprintf("the port %s is held by %s", text, holder), "any_port")
		} else {
			s.brings("the host port %s", text)
		}
	}
	return nil
}

// ports are those of the host that it asks for.
func (s *restoring) ports() []docker.Port {
	all := s.old.Ports
	if s.old.ID == "" && s.c.hands.Options != nil {
		all = s.c.hands.Options(store.InstanceView{Instance: s.contents.Instance}, s.contents.Instance.Spec).Ports
	}
	return slices.DeleteFunc(slices.Clone(all), func(p docker.Port) bool { return p.Host == 0 })
}

func portWords(p docker.Port) string {
	ip := p.HostIP
	if ip == "" {
		ip = "0.0.0.0"
	}
	return net.JoinHostPort(ip, strconv.Itoa(p.Host)) + "/" + protocol(p)
}

func protocol(p docker.Port) string {
	if p.Protocol == "" {
		return "tcp"
	}
	return p.Protocol
}

// holderOf is the container that holds a port; all addresses collide with each.
func holderOf(p docker.Port, held map[string]string) string {
	for address, name := range held {
		at, kind, _ := strings.Cut(address, "/")
		ip, port, err := net.SplitHostPort(at)
		if err != nil || kind != protocol(p) || port != strconv.Itoa(p.Host) {
			continue
		}
		if ip == p.HostIP || anyAddress(ip) || anyAddress(p.HostIP) {
			return name
		}
	}
	return ""
}

func anyAddress(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }

func (s *restoring) askNetworks(ctx context.Context) error {
	if len(s.archive.Networks) == 0 {
		return nil
	}
	there, err := s.on.engine.Networks(ctx)
	if err != nil {
		return err
	}
	for _, name := range s.archive.Networks {
		found := slices.ContainsFunc(there, func(n docker.Network) bool { return n.Name == name })
		switch {
		case found || docker.EngineNetwork(name):
			s.brings("the network %s", name)
		case s.choices.MakeNetworks:
			s.makeNetworks = append(s.makeNetworks, name)
			s.brings("the network %s, made anew as a plain bridge, where it gets an address as they come", name)
		case s.choices.SkipNetworks:
			s.skipNetworks = append(s.skipNetworks, name)
			s.lacks("the network %s, which is gone", name)
		default:
			s.conflict(ConflictNetwork, name, fmt.Sprintf("the network %s is gone", name), "skip_networks", "make_networks")
		}
	}
	return nil
}

// askImage looks for what to make it from: the image of its writable layer, else the image itself.
func (s *restoring) askImage(ctx context.Context) error {
	a := s.archive
	if a.LayerImage != "" {
		there, err := s.hasLayer(ctx)
		if err != nil {
			return err
		}
		if there {
			s.image = a.LayerImage
			s.brings("what it wrote outside of its volumes (%s)", spellBytes(a.Bytes))
			return nil
		}
		if !s.choices.PullImage {
			s.conflict(ConflictImage, a.LayerImage, "the image of what it wrote outside of its volumes is gone; pull_image goes on without it", "pull_image")
			return nil
		}
		s.lacks("what it wrote outside of its volumes: its image is gone")
	}
	return s.askBase(ctx)
}

func (s *restoring) askBase(ctx context.Context) error {
	a := s.archive
	ref := imageRef(a.Image, a.ImageTag)
	id, there, err := s.hasImage(ctx, cmp.Or(a.ImageID, ref))
	if err != nil {
		return err
	}
	if there {
		s.brings("the image %s, as it was deployed", ref)
		s.image = id
		named, there, err := s.hasImage(ctx, s.old.Image)
		if there && named == id {
			s.image = s.old.Image // by the name that it was made by, if that still means the same
		}
		return err
	}
	if a.Digest != "" {
		ref = a.Image + "@" + a.Digest
	}
	if !s.choices.PullImage {
		s.conflict(ConflictImage, ref, fmt.Sprintf("the image %s is gone from the engine", ref), "pull_image")
		return nil
	}
	s.pull, s.image = ref, ref
	s.brings("the image %s, pulled anew", ref)
	return nil
}

// hasLayer reports whether the image of the writable layer is there, and is the one that was made: a name can be moved by anybody.
func (s *restoring) hasLayer(ctx context.Context) (bool, error) {
	id, there, err := s.hasImage(ctx, s.archive.LayerImage)
	if err != nil || !there {
		return false, err
	}
	made, err := s.c.db.PulledImages(ctx, s.archive.HostID)
	if err != nil {
		return false, err
	}
	for _, m := range made {
		if m.Ref == s.archive.LayerImage && m.ImageID != id {
			return false, nil
		}
	}
	return true, nil
}

func (s *restoring) hasImage(ctx context.Context, name string) (id string, there bool, err error) {
	if name == "" {
		return "", false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	image, err := s.on.engine.InspectImage(ctx, name)
	if errors.Is(err, docker.ErrNotFound) {
		return "", false, nil
	}
	return image.ID, err == nil, err
}

func (s *restoring) askVolumes(ctx context.Context) error {
	for _, v := range s.archive.Volumes {
		there, err := s.on.engine.HasVolume(ctx, v.Name)
		if err != nil {
			return err
		}
		name := v.Name
		if v.Anonymous {
			name = name[:min(12, len(name))]
		}
		switch {
		case there:
			s.brings("the volume %s at %s, with what it holds now", name, v.Target)
		case s.choices.EmptyVolumes:
			s.lacks("the volume %s at %s: it is gone, an empty one takes its place", name, v.Target)
		default:
			s.conflict(ConflictVolume, v.Name, fmt.Sprintf("the volume %s at %s is gone", name, v.Target), "empty_volumes")
		}
	}
	return nil
}
