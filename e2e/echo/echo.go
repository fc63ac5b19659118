// Package echo is an upstream that returns the request it got, so that tests and
// demonstrations see what reached it.
//
//	/healthz   200 "ok"
//	/stream    the request's body, sent back as it comes, then its trailers
//	any other  the request as JSON, an [Answer], once its body was read
//
// It is for development only.
package echo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Answer is a request as the upstream saw it.
type Answer struct {
	Method string `json:"method"`
	// Path is the request's target as it was sent, with the query.
	Path string `json:"path"`
	Host string `json:"host"`
	// Headers are sorted by their names, in lower case; those with the same
	// name stand in the order they came in. The order between names is not
	// kept by net/http. "host" is not among them.
	Headers []Header `json:"headers"`
	// BodyBytes is the length of the body and BodySHA256 its hash, in
	// hexadecimal.
	BodyBytes  int64  `json:"bodyBytes"`
	BodySHA256 string `json:"bodySha256"`
	// Trailers are sorted like the headers.
	Trailers []Header `json:"trailers"`
}

// Header is one header or trailer field.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values returns the values of the headers with the name, in lower case.
func (a *Answer) Values(name string) []string {
	var values []string
	for _, h := range a.Headers {
		if h.Name == name {
			values = append(values, h.Value)
		}
	}
	return values
}

// Handler is the upstream.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("/stream", stream)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/stream":
			mux.ServeHTTP(w, r)
		default: // not through the mux, which redirects paths such as //a
			describe(w, r)
		}
	})
}

func describe(w http.ResponseWriter, r *http.Request) {
	a := Answer{Method: r.Method, Path: r.RequestURI, Host: r.Host, Headers: fields(r.Header)}
	hash := sha256.New()
	n, err := io.Copy(hash, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the request broke off: there is nothing to answer
	}
	a.BodyBytes = n
	a.BodySHA256 = hex.EncodeToString(hash.Sum(nil))
	a.Trailers = fields(r.Trailer)
	body, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	_, _ = w.Write(append(body, '\n'))
}

// fields flattens a header, sorted by name.
func fields(h http.Header) []Header {
	list := []Header{}
	for name, values := range h {
		for _, v := range values {
			list = append(list, Header{strings.ToLower(name), v})
		}
	}
	slices.SortStableFunc(list, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// stream sends each part of the body back before it reads the next.
func stream(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if err := c.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := c.Flush(); err != nil {
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			if err := c.Flush(); err != nil {
				return
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	for name, values := range r.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}
