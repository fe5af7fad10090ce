package traefik

// Document is the part of Traefik's dynamic configuration that we write, by the names that its documentation gives (v3). What is empty is
// left out: Traefik refuses most elements without a content.
type Document struct {
	HTTP *HTTP `json:"http,omitempty"`
}

// HTTP are the parts by which requests are answered, each by its name.
type HTTP struct {
	Routers     map[string]Router     `json:"routers,omitempty"`
	Services    map[string]Service    `json:"services,omitempty"`
	Middlewares map[string]Middleware `json:"middlewares,omitempty"`
	Transports  map[string]Transport  `json:"serversTransports,omitempty"`
}

// Router takes requests and hands them on.
type Router struct {
	Rule        string   `json:"rule"`
	Priority    int      `json:"priority"`
	Middlewares []string `json:"middlewares,omitempty"`
	Service     string   `json:"service"`
	TLS         *TLS     `json:"tls,omitempty"`
}

// TLS has a router take requests over TLS only.
type TLS struct {
	CertResolver string `json:"certResolver"`
}

// Service answers by its servers.
type Service struct {
	LoadBalancer LoadBalancer `json:"loadBalancer"`
}

// LoadBalancer spreads requests. Without servers it answers 503.
type LoadBalancer struct {
	Servers        []Server     `json:"servers,omitempty"`
	PassHostHeader bool         `json:"passHostHeader"`
	HealthCheck    *HealthCheck `json:"healthCheck,omitempty"`
	Transport      string       `json:"serversTransport,omitempty"`
}

// Server is one target.
type Server struct {
	URL string `json:"url"`
}

// HealthCheck asks each server on and on.
type HealthCheck struct {
	Path     string `json:"path"`
	Interval string `json:"interval"`
	Timeout  string `json:"timeout"`
	Hostname string `json:"hostname,omitempty"`
}

// Transport is how servers are dialled.
type Transport struct {
	// RootCAs are who is trusted for them, as PEM; none: the authorities of the system.
	RootCAs            []string `json:"rootCAs,omitempty"`
	InsecureSkipVerify bool     `json:"insecureSkipVerify,omitempty"`
	Timeouts           Timeouts `json:"forwardingTimeouts"`
}

// Timeouts are those of a transport.
type Timeouts struct {
	Dial           string `json:"dialTimeout"`
	ResponseHeader string `json:"responseHeaderTimeout"`
}

// Middleware is one thing done to a request or its answer: one field is given.
type Middleware struct {
	IPAllowList    *IPAllowList    `json:"ipAllowList,omitempty"`
	RedirectScheme *RedirectScheme `json:"redirectScheme,omitempty"`
	RedirectRegex  *RedirectRegex  `json:"redirectRegex,omitempty"`
	BasicAuth      *BasicAuth      `json:"basicAuth,omitempty"`
	Headers        *Headers        `json:"headers,omitempty"`
	StripPrefix    *StripPrefix    `json:"stripPrefix,omitempty"`
	AddPrefix      *AddPrefix      `json:"addPrefix,omitempty"`
	Compress       *Compress       `json:"compress,omitempty"`
}

// Compress makes answers smaller, but of these kinds of content.
type Compress struct {
	ExcludedContentTypes []string `json:"excludedContentTypes"`
}

// IPAllowList lets in some addresses.
type IPAllowList struct {
	SourceRange []string    `json:"sourceRange"`
	Strategy    *IPStrategy `json:"ipStrategy,omitempty"`
}

// IPStrategy says who the client is behind proxies: the last one that is none of these.
type IPStrategy struct {
	ExcludedIPs []string `json:"excludedIPs"`
}

// RedirectScheme sends clients to https.
type RedirectScheme struct {
	Scheme    string `json:"scheme"`
	Permanent bool   `json:"permanent"`
}

// RedirectRegex sends clients elsewhere.
type RedirectRegex struct {
	Regex       string `json:"regex"`
	Replacement string `json:"replacement"`
	Permanent   bool   `json:"permanent,omitempty"`
}

// BasicAuth lets in who knows a password.
type BasicAuth struct {
	Users        []string `json:"users"`
	Realm        string   `json:"realm"`
	RemoveHeader bool     `json:"removeHeader"`
}

// Headers changes headers; an empty value takes one away.
type Headers struct {
	Request    map[string]string `json:"customRequestHeaders,omitempty"`
	Response   map[string]string `json:"customResponseHeaders,omitempty"`
	STSSeconds int               `json:"stsSeconds,omitempty"`
}

// StripPrefix takes a prefix off the path.
type StripPrefix struct {
	Prefixes []string `json:"prefixes"`
}

// AddPrefix puts one before it.
type AddPrefix struct {
	Prefix string `json:"prefix"`
}
