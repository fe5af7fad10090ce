package compose

import (
	"fmt"
	"maps"
	"math"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/transform"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/go-viper/mapstructure/v2"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// mostPorts bounds what a range of ports is taken apart into.
const mostPorts = 200

// decode lets compose-go read one key of a service in any form that compose knows.
func (r *serviceReader) decode(f field) (types.ServiceConfig, bool) {
	s, err := decodeKey(f.key, f.item.plain())
	if err != nil {
		r.note(Blocked, max(f.item.line, f.line), f.key, "it cannot be read: "+reasonIn(err.Error()), "mend that line")
		return s, false
	}
	return s, true
}

// decodeKey turns panics of the library, which trusts that a schema was checked before, into errors.
func decodeKey(key string, value any) (s types.ServiceConfig, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s has not the form that compose knows", key)
		}
	}()
	if words, ok := value.([]any); ok && key != "ports" && key != "volumes" {
		value = asTexts(words)
	}
	canonical, err := transform.Canonical(map[string]any{"services": map[string]any{"s": map[string]any{key: value}}}, false)
	if err != nil {
		return s, err
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: &s, TagName: "yaml", Squash: true, DecodeHook: mapstructure.ComposeDecodeHookFunc(decodeSelf, cast), ErrorUnused: true,
	})
	if err != nil {
		return s, err
	}
	services, _ := canonical["services"].(map[string]any)
	if err := decoder.Decode(services["s"]); err != nil {
		return s, fmt.Errorf("it has not the form that compose knows: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return s, nil
}

// asTexts makes texts of the scalars in a list of words.
func asTexts(words []any) []any {
	all := make([]any, len(words))
	for i, w := range words {
		switch w.(type) {
		case map[string]any, []any:
			all[i] = w
		case nil:
			all[i] = ""
		default:
			all[i] = fmt.Sprint(w)
		}
	}
	return all
}

// selfReader is a type of compose-go that reads itself.
type selfReader interface{ DecodeMapstructure(any) error }

// decodeSelf lets the types of compose-go read themselves.
func decodeSelf(from, to reflect.Value) (any, error) {
	if to.Kind() == reflect.Pointer && to.IsNil() && to.Type().Implements(reflect.TypeFor[selfReader]()) {
		to.Set(reflect.New(to.Type().Elem()))
	}
	reads, ok := reflect.TypeAssert[selfReader](to)
	if !ok && to.CanAddr() {
		reads, ok = reflect.TypeAssert[selfReader](to.Addr())
	}
	if !ok {
		return from.Interface(), nil
	}
	if err := reads.DecodeMapstructure(from.Interface()); err != nil {
		return nil, err
	}
	return to.Interface(), nil
}

// cast reads numbers and truths that a variable made texts of.
func cast(from, to reflect.Value) (any, error) {
	switch {
	case from.Kind() == reflect.String && to.Kind() == reflect.Bool:
		return strconv.ParseBool(from.String())
	case from.Kind() == reflect.String && (to.CanInt() || to.CanUint()):
		return strconv.ParseInt(from.String(), 10, 64)
	case from.Kind() == reflect.String && to.CanFloat():
		return strconv.ParseFloat(from.String(), 64)
	case to.Kind() == reflect.String && (from.CanInt() || from.CanFloat() || from.Kind() == reflect.Bool):
		return fmt.Sprint(from.Interface()), nil
	}
	return from.Interface(), nil
}

// ports are read one by one, so that a note has its line.
func (r *serviceReader) ports(f field) {
	known := []string{"name", "mode", "app_protocol", "host_ip", "target", "published", "protocol"}
	for _, one := range f.item.items {
		if wide(one.text()) || len(r.to.Spec.Ports) >= mostPorts {
			r.note(Blocked, one.line, f.key, "more than 200 ports are not published", "publish fewer, or use the host's network")
			return
		}
		r.fieldsOf(one, "ports", known...)
		s, ok := r.decode(field{"ports", one.line, &item{kind: list, line: one.line, items: []*item{only(one, known...)}}})
		if !ok {
			continue
		}
		for _, p := range s.Ports {
			r.port(one.line, p)
		}
	}
}

// wide tells a range of more ports than are taken apart.
func wide(text string) bool {
	for part := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ':' || c == '/' }) {
		first, last, ranged := strings.Cut(part, "-")
		a, errA := strconv.Atoi(first)
		b, errB := strconv.Atoi(last)
		if ranged && errA == nil && errB == nil && b-a >= mostPorts {
			return true
		}
	}
	return false
}

func (r *serviceReader) port(line int, p types.ServicePortConfig) {
	made := store.Port{Container: int(min(p.Target, math.MaxInt32)), HostIP: p.HostIP, Protocol: p.Protocol}
	if made.HostIP == "" {
		made.HostIP = "0.0.0.0" // what compose means by it; ours is 127.0.0.1
	}
	if p.Protocol != "" && p.Protocol != "tcp" && p.Protocol != "udp" {
		r.note(Unsupported, line, "ports", "the protocol "+p.Protocol+" is not published", "publish tcp or udp")
		return
	}
	if p.Published != "" {
		host, err := strconv.Atoi(p.Published)
		if err != nil {
			r.note(Unsupported, line, "ports", "one of a range of host ports is not chosen here", "name one port, or none so that the engine chooses")
		}
		made.Host = host
	}
	r.to.Spec.Ports = append(r.to.Spec.Ports, made)
}

// fieldsOf notes the keys of an object that are not among those known.
func (r *serviceReader) fieldsOf(i *item, under string, known ...string) {
	for _, f := range i.fields {
		if !slices.Contains(known, f.key) && !strings.HasPrefix(f.key, "x-") {
			r.note(Unsupported, f.line, under+"."+f.key, "it does not come along", "take it out")
		}
	}
}

// only is an object without the keys that are not among those known.
func only(i *item, known ...string) *item {
	if i.kind != object {
		return i
	}
	kept := *i
	kept.fields = slices.DeleteFunc(slices.Clone(i.fields), func(f field) bool { return !slices.Contains(known, f.key) })
	return &kept
}

func (r *serviceReader) volumes(f field) {
	known := []string{"type", "source", "target", "read_only", "consistency"}
	for _, one := range f.item.items {
		r.fieldsOf(one, "volumes", known...)
		s, ok := r.decode(field{"volumes", one.line, &item{kind: list, line: one.line, items: []*item{only(one, known...)}}})
		if !ok {
			continue
		}
		for _, v := range s.Volumes {
			r.volume(one, v)
		}
	}
}

func (r *serviceReader) volume(at *item, v types.ServiceVolumeConfig) {
	m := store.Mount{Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
	options := v.Bind != nil && (v.Bind.Propagation != "" || v.Bind.SELinux != "") || v.Volume != nil && (v.Volume.NoCopy || v.Volume.Subpath != "")
	if options && at.kind == scalar {
		r.note(Unsupported, at.line, "volumes", "of the options only ro and rw come along", "take the others out")
	}
	switch {
	case v.Type != types.VolumeTypeBind && v.Type != types.VolumeTypeVolume:
		r.note(Unsupported, at.line, "volumes", "a mount of the type "+v.Type+" is not made here", "use a named volume or a folder of the host")
		return
	case v.Source == "":
		r.note(Unsupported, at.line, "volumes", "an anonymous volume is left to the image, and a new one comes with each deploy", "give it a name, so that it stays")
		return
	case v.Type == types.VolumeTypeBind && !path.IsAbs(v.Source):
		r.note(Blocked, at.line, "volumes", fmt.Sprintf("%q is a path beside the compose file, which is not here", v.Source), "write the absolute path of the folder on the host")
		return
	case v.Type == types.VolumeTypeVolume:
		m.Source = r.onHost(r.reader.volumes, v.Source)
		if m.Source != v.Source {
			r.note(Told, at.line, "volumes", "the volume "+v.Source+" is called "+m.Source+" on the host, as compose would call it", "")
		}
	}
	m.Source = cleanFolder(m.Source)
	r.to.Spec.Mounts = append(r.to.Spec.Mounts, m)
}

func cleanFolder(source string) string {
	if path.IsAbs(source) {
		return path.Clean(source)
	}
	return source
}

// attach reads the networks and the aliases there; a service is known by its name as well, as compose does it.
func (r *serviceReader) attach(f field) {
	s, ok := r.decode(field{f.key, f.line, withFields(f.item, "aliases")})
	if !ok {
		return
	}
	for _, one := range f.item.fields {
		for _, option := range one.item.fields {
			if option.key != "aliases" {
				r.note(Unsupported, option.line, "networks."+one.key+"."+option.key, "only aliases are given in a network", "use the name instead of a fixed address, and take it out")
			}
		}
	}
	for _, name := range sorted(s.Networks) {
		n := store.Network{Name: r.onHost(r.networks, name)}
		aliases := []string{r.to.Name}
		if asked := s.Networks[name]; asked != nil {
			aliases = append(aliases, asked.Aliases...)
		}
		slices.Sort(aliases)
		n.Aliases = slices.Compact(aliases)
		r.to.Spec.Networks = append(r.to.Spec.Networks, n)
	}
}

// withFields keeps of each object in an object only the keys named.
func withFields(i *item, known ...string) *item {
	if i.kind != object {
		return i
	}
	kept := *i
	kept.fields = nil
	for _, f := range i.fields {
		kept.fields = append(kept.fields, field{f.key, f.line, only(f.item, known...)})
	}
	return &kept
}

func (r *serviceReader) healthcheck(f field) {
	known := []string{"test", "interval", "timeout", "retries", "start_period", "disable"}
	r.fieldsOf(f.item, f.key, known...)
	for _, part := range f.item.fields {
		if part.key == "test" && !r.formed(part, "healthcheck.test", wordsForm) {
			return
		}
	}
	s, ok := r.decode(field{f.key, f.line, only(f.item, known...)})
	if !ok || s.HealthCheck == nil {
		return
	}
	h := s.HealthCheck
	made := store.Healthcheck{Test: h.Test, Interval: span(h.Interval), Timeout: span(h.Timeout), StartPeriod: span(h.StartPeriod)}
	if h.Retries != nil {
		made.Retries = int(min(*h.Retries, math.MaxInt32))
	}
	if h.Disable {
		made = store.Healthcheck{Test: []string{"NONE"}}
	}
	r.to.Spec.Healthcheck = made
}

// limit reads one limit of deploy.resources.
func (r *serviceReader) limit(f field, key string) {
	as := map[string]string{"memory": "mem_limit", "cpus": "cpus", "pids": "pids_limit"}[f.key]
	if !r.formed(f, key, scalarForm) {
		return
	}
	if f.key == "memory" {
		f.item = asText(f.item)
	}
	s, err := decodeKey(as, f.item.plain())
	if err != nil {
		r.note(Blocked, f.line, key, "it cannot be read: "+reasonIn(err.Error()), "mend that line")
		return
	}
	to := &r.to.Spec.Resources
	switch f.key {
	case "memory":
		to.Memory = int64(s.MemLimit)
	case "cpus":
		to.NanoCPUs = nanos(s.CPUS)
	case "pids":
		to.Pids = max(s.PidsLimit, 0)
	}
}

func span(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// nanos rounds to a thousandth: what is read as a float of 32 bits has no more.
func nanos(cpus float32) int64 {
	thousandths := math.Round(float64(cpus) * 1000)
	if math.IsNaN(thousandths) || math.Abs(thousandths) > 1e9 {
		return -1
	}
	return int64(thousandths) * 1_000_000
}

func upper(names []string) []string {
	var all []string
	for _, n := range names {
		if n = strings.ToUpper(n); !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
