package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	roleNeeded = "x-role" // extension of each operation in the document
	metaRole   = "role"   // the same for the middleware
)

// documentConfig describes the API as a whole. The framework serves nothing of its own.
func documentConfig(version string) huma.Config {
	c := huma.DefaultConfig("docker-watcher", version)
	c.Info.Description = "Deploys containers, watches them, tells which have not been alive for N days and cleans exactly those up."
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{noteProblem}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.RejectUnknownQueryParameters = true
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "an API token (dw_...) or the credential of a session"},
		"session": {Type: "apiKey", In: "cookie", Name: cookieSecure, Description: "over plain http the cookie's name is " + cookiePlain},
	}
	return c
}

// schemaName calls a type what people call it: Project, ProjectList, CreateProjectRequest.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if of, ok := strings.CutPrefix(name, "List"); ok && strings.HasSuffix(name, "JSON") {
		name = strings.TrimSuffix(of, "JSON") + "List"
	}
	if of, ok := strings.CutSuffix(name, "InBody"); ok {
		name = of + "Request"
	}
	return strings.TrimSuffix(name, "JSON")
}

// operation is what the table says of a route, for the framework and the document.
func (r route) operation() huma.Operation {
	op := huma.Operation{
		Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary, Tags: []string{r.tag()},
		Metadata: map[string]any{metaRole: r.need},
		// The guard has read the body already, within its size. A deadline left on the connection would
		// cut a handler short that works for longer than it.
		BodyReadTimeout: -1,
		MaxBodyBytes:    -1,
		Errors:          r.errors(),
	}
	if r.need == anyone {
		op.Security = []map[string][]string{{}}
		op.Extensions = map[string]any{roleNeeded: "anyone"}
		return op
	}
	op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	op.Extensions = map[string]any{roleNeeded: string(r.need)}
	return op
}

// needOf is the role that the table asks for.
func needOf(op *huma.Operation) store.Role {
	need, ok := op.Metadata[metaRole].(store.Role)
	if !ok {
		return admin // a route outside of the table is nobody's but an admin's
	}
	return need
}

// tag groups routes in the document by the first word of their path.
func (r route) tag() string {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.path, "/api/"), "/")
	if strings.HasPrefix(first, "/") || first == "" || !strings.HasPrefix(r.path, "/api/") {
		return "daemon"
	}
	return first
}

func (r route) errors() []int {
	codes := []int{http.StatusInternalServerError}
	if r.need != anyone {
		codes = append(codes, http.StatusUnauthorized, http.StatusForbidden)
	}
	if strings.Contains(r.path, "{") {
		codes = append(codes, http.StatusNotFound)
	}
	if r.method != get {
		codes = append(codes, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable)
	}
	if r.method == patch || r.method == put {
		codes = append(codes, http.StatusPreconditionFailed)
	}
	if r.path == "/api/session" || r.path == "/api/setup" || isHook(r.path) {
		codes = append(codes, http.StatusTooManyRequests)
	}
	return append(codes, http.StatusUnprocessableEntity)
}

// document serves the OpenAPI document, which is complete once all routes are mounted.
func document(_ *server, doc huma.API, op huma.Operation) {
	type answer struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	op.Responses = map[string]*huma.Response{"200": {
		Description: "the document", Content: map[string]*huma.MediaType{"application/openapi+json": {Schema: &huma.Schema{Type: huma.TypeObject}}},
	}}
	write := sync.OnceValues(func() ([]byte, error) { return json.Marshal(doc.OpenAPI()) })
	huma.Register(doc, op, func(context.Context, *none) (*answer, error) {
		text, err := write()
		if err != nil {
			return nil, fmt.Errorf("write the OpenAPI document: %w", err)
		}
		return &answer{ContentType: "application/openapi+json", Body: text}, nil
	})
}

// rawBody mounts a handler that reads its JSON body itself, since the framework's
// reading is too lenient for it; the document describes the body as T.
func rawBody[T, I, O any](fn func(context.Context, *I) (*O, error), required bool) mounter {
	mount := to(fn)
	return func(s *server, doc huma.API, op huma.Operation) {
		registry := doc.OpenAPI().Components.Schemas
		body := &huma.RequestBody{Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(reflect.TypeFor[T](), true, op.OperationID)},
		}}
		op.RequestBody = body
		op.SkipValidateBody = true
		mount(s, doc, op)
		body.Required = required
		delete(body.Content, "application/octet-stream")
	}
}

// streamed mounts a handler that writes an answer of another type as it comes.
func streamed[I any](contentType string, fn func(context.Context, *I) (*streamOut, error)) mounter {
	mount := to(fn)
	return func(s *server, doc huma.API, op huma.Operation) {
		op.Responses = map[string]*huma.Response{"200": {
			Description: "written as it comes",
			Content:     map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}}
		mount(s, doc, op)
	}
}

// ready mounts the readiness, whose answer is the same when the daemon is not ready.
func ready[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	mount := to(fn)
	return func(s *server, doc huma.API, op huma.Operation) {
		body := doc.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[readinessJSON](), true, "")
		op.Responses = map[string]*huma.Response{"503": {
			Description: "not ready, and why", Content: map[string]*huma.MediaType{"application/json": {Schema: body}},
		}}
		mount(s, doc, op)
	}
}
