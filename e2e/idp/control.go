package idp

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FaultKind is a way in which an endpoint breaks.
type FaultKind string

// The ways.
const (
	// Fail answers with Fault.Status, by default 500.
	Fail FaultKind = "fail"
	// Hang does not answer until the endpoint is healed, the client gives up,
	// or the provider closes. A healed request is answered as it would have
	// been.
	Hang FaultKind = "hang"
	// Slow answers after Fault.Delay.
	Slow FaultKind = "slow"
	// WrongContentType answers as text/html.
	WrongContentType FaultKind = "wrong-content-type"
	// Empty answers 200 with no body.
	Empty FaultKind = "empty"
	// Truncated announces the whole document, sends its first half and closes
	// the connection.
	Truncated FaultKind = "truncated"
	// Cut sends the first half of the document as if it were all of it.
	Cut FaultKind = "cut"
	// OtherKeys publishes the keys of Fault.Keys, or of a key nobody has seen,
	// under the kids of the tenant's own. JWKS only.
	OtherKeys FaultKind = "other-keys"
	// PrivateKeys publishes the keys with their private parts. JWKS only.
	PrivateKeys FaultKind = "private-keys"
	// Huge pads the document to Fault.Size bytes, by default 4 MiB, with an
	// unknown member in front.
	Huge FaultKind = "huge"
	// NoKeys publishes a set without a key. JWKS only.
	NoKeys FaultKind = "no-keys"
	// OtherIssuer names another issuer. Discovery only.
	OtherIssuer FaultKind = "other-issuer"
)

// Fault is how an endpoint breaks.
type Fault struct {
	Kind   FaultKind
	Status int           // Fail
	Delay  time.Duration // Slow
	Size   int           // Huge, in bytes
	Header http.Header   // replaces headers of the answer, such as Cache-Control; any kind
	// Keys gives the tenant of another provider whose keys OtherKeys
	// publishes.
	Keys   *Provider
	Tenant string
}

// fault is a Fault at work.
type fault struct {
	Fault
	healed chan struct{}
}

// Break has an endpoint of the tenant misbehave until [Provider.Heal] or the
// next Break. It panics for a kind that is not one.
func (p *Provider) Break(tenant string, e Endpoint, f Fault) {
	switch f.Kind {
	case Fail, Hang, Slow, WrongContentType, Empty, Truncated, Cut, OtherKeys, PrivateKeys, Huge, NoKeys, OtherIssuer, "":
	default:
		panic(fmt.Sprintf("idp: no fault %q", string(f.Kind)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tenant(tenant)
	t.heal(e)
	t.faults[e] = &fault{Fault: f, healed: make(chan struct{})}
}

// Heal ends the fault of an endpoint and releases requests that hang.
func (p *Provider) Heal(tenant string, e Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tenant(tenant).heal(e)
}

func (t *tenant) heal(e Endpoint) {
	_ = e.path() // panics where it is no endpoint
	if f := t.faults[e]; f != nil {
		close(f.healed)
		delete(t.faults, e)
	}
}

// apply changes the answer, and reports whether there is still someone to
// answer.
func (f *fault) apply(p *Provider, t *tenant, e Endpoint, r *http.Request, a *answer) bool {
	switch f.Kind {
	case Fail:
		status := f.Status
		if status == 0 {
			status = http.StatusInternalServerError
		}
		*a = answer{status: status, contentType: "text/plain", header: http.Header{}, body: []byte(http.StatusText(status) + "\n")}
	case Hang:
		select {
		case <-f.healed:
			*a = p.answer(t, e, r)
		case <-r.Context().Done():
			return false
		case <-p.closed:
			return false
		}
	case Slow:
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.healed:
		case <-r.Context().Done():
			return false
		case <-p.closed:
			return false
		}
	case WrongContentType:
		a.contentType = "text/html; charset=utf-8"
	case Empty:
		a.body = nil
	case Truncated:
		a.announced = len(a.body)
		a.body = a.body[:len(a.body)/2]
	case Cut:
		a.body = a.body[:len(a.body)/2]
	case OtherKeys:
		a.body = []byte(marshal(publicSet(p.otherKeys(t, f))))
	case PrivateKeys:
		p.mu.Lock()
		a.body = []byte(marshal(privateSet(t.keys)))
		p.mu.Unlock()
	case Huge:
		size := f.Size
		if size == 0 {
			size = 4 << 20
		}
		a.body = pad(a.body, size)
	case NoKeys:
		a.body = []byte(`{"keys":[]}`)
	case OtherIssuer:
		own := p.Issuer(t.Name)
		a.body = bytes.Replace(a.body, []byte(marshal(own)), []byte(marshal(own+"-other")), 1)
	}
	for name, values := range f.Header {
		a.header[http.CanonicalHeaderKey(name)] = values
	}
	return true
}

func (p *Provider) otherKeys(t *tenant, f *fault) []signingKey {
	p.mu.Lock()
	id := t.signing().id
	p.mu.Unlock()
	if f.Keys == nil {
		return []signingKey{{id, GenerateKey()}}
	}
	key, _ := f.Keys.Key(f.Tenant)
	return []signingKey{{id, key}}
}

// pad puts a long member at the front of a JSON object.
func pad(doc []byte, size int) []byte {
	const before, after = `{"padding":"`, `",`
	n := max(0, size-len(before)-len(after)-len(doc)+1)
	var b bytes.Buffer
	b.WriteString(before)
	b.WriteString(strings.Repeat("x", n))
	b.WriteString(after)
	b.Write(bytes.TrimPrefix(doc, []byte("{")))
	return b.Bytes()
}

// Control is the provider's control side, for another process:
//
//	POST   /{tenant}/rotate?kid=K&overlap=true      204
//	PUT    /{tenant}/{endpoint}/fault?kind=K        204; also status=N, delay=D, size=N
//	DELETE /{tenant}/{endpoint}/fault               204
//	GET    /requests                                200, {"path": count}
//	DELETE /requests                                204
//
// {endpoint} is discovery, jwks or token. What cannot be understood is
// answered 400, an unknown tenant or endpoint 404.
func (p *Provider) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{tenant}/rotate", func(w http.ResponseWriter, r *http.Request) {
		if !p.known(w, r.PathValue("tenant"), JWKS) {
			return
		}
		overlap, err := optional(r, "overlap", false, strconv.ParseBool)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.Rotate(r.PathValue("tenant"), Rotation{KeyID: r.FormValue("kid"), Overlap: overlap})
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT /{tenant}/{endpoint}/fault", func(w http.ResponseWriter, r *http.Request) {
		tenant, e := r.PathValue("tenant"), Endpoint(r.PathValue("endpoint"))
		if !p.known(w, tenant, e) {
			return
		}
		f, err := faultOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.Break(tenant, e, f)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /{tenant}/{endpoint}/fault", func(w http.ResponseWriter, r *http.Request) {
		tenant, e := r.PathValue("tenant"), Endpoint(r.PathValue("endpoint"))
		if !p.known(w, tenant, e) {
			return
		}
		p.Heal(tenant, e)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) {
		a := jsonAnswer(http.StatusOK, p.Requests())
		a.write(w)
	})
	mux.HandleFunc("DELETE /requests", func(w http.ResponseWriter, _ *http.Request) {
		p.ResetRequests()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// known answers 404 unless there are such a tenant and endpoint.
func (p *Provider) known(w http.ResponseWriter, tenant string, e Endpoint) bool {
	p.mu.Lock()
	t := p.tenants[tenant]
	p.mu.Unlock()
	if t == nil || (e != Discovery && e != JWKS && e != Token) {
		http.Error(w, "no such tenant or endpoint", http.StatusNotFound)
		return false
	}
	return true
}

func faultOf(r *http.Request) (Fault, error) {
	f := Fault{Kind: FaultKind(r.FormValue("kind"))}
	switch f.Kind {
	case Fail, Hang, Slow, WrongContentType, Empty, Truncated, Cut, OtherKeys, PrivateKeys, Huge, NoKeys, OtherIssuer:
	default:
		return f, fmt.Errorf("kind: no fault %q", string(f.Kind))
	}
	var err error
	if f.Status, err = optional(r, "status", 0, strconv.Atoi); err == nil && f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		err = fmt.Errorf("status: must be from 200 to 599")
	}
	if err != nil {
		return f, err
	}
	if f.Delay, err = optional(r, "delay", 0, time.ParseDuration); err != nil {
		return f, err
	}
	f.Size, err = optional(r, "size", 0, strconv.Atoi)
	return f, err
}

// optional parses a parameter that may be absent.
func optional[T any](r *http.Request, name string, missing T, parse func(string) (T, error)) (T, error) {
	text := r.FormValue(name)
	if text == "" {
		return missing, nil
	}
	v, err := parse(text)
	if err != nil {
		return missing, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}
