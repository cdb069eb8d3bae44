package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// clustersPrefix starts the paths that name their cluster.
const clustersPrefix = "/clusters/"

// errTarget refuses request targets that leave room for two readings: absolute-form, "*", or escapes that do not
// decode.
var errTarget = errors.New("the request target must be a path that starts with a slash and is validly escaped")

// target is where a request wants to go: which cluster, and the URL there. What mechanisms and rules decide upon is
// what the API server will see, byte for byte.
type target struct {
	cluster *Cluster // nil when the path names a cluster that does not exist
	url     url.URL  // Path is decoded; RequestURI() gives the client's own bytes
}

// entrance is the cluster whose authenticator judges the caller. Who asks for a cluster that does not exist is judged by
// the first, and told only then.
func (t *target) entrance(clusters []*Cluster) *Cluster {
	if t.cluster != nil {
		return t.cluster
	}
	return clusters[0]
}

// route reads the request target from the bytes that the client sent.
func route(r *http.Request, clusters []*Cluster) (target, error) {
	raw := r.RequestURI
	if !strings.HasPrefix(raw, "/") || r.URL.Scheme != "" || r.URL.Opaque != "" || r.Method == http.MethodConnect {
		return target{}, errTarget
	}
	path, _, _ := strings.Cut(raw, "?")
	t := target{url: url.URL{RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}}
	if rest, ok := strings.CutPrefix(path, clustersPrefix); ok {
		name, rest, _ := strings.Cut(rest, "/")
		path = "/" + rest
		for _, cluster := range clusters {
			if cluster.Name == name {
				t.cluster = cluster
			}
		}
	} else if len(clusters) > 0 {
		t.cluster = clusters[0]
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return target{}, errTarget
	}
	t.url.Path, t.url.RawPath = decoded, path
	if t.url.EscapedPath() != path {
		// Bytes that Go would escape anew. They go on as they came, unless that would read as an authority.
		if strings.HasPrefix(path, "//") {
			return target{}, errTarget
		}
		t.url.Opaque = path
	}
	return t, nil
}
