package filter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/jwks"
)

// sharing is how the workers of a proxy share entries through its shared data.
// With the zero value they share nothing.
//
// A proxy keeps shared data apart by the VM's id. If that is empty, as in Istio,
// every other plugin in the proxy can read and write it. A worker then takes only
// what it can authenticate: an entry begins with HMAC-SHA-256 of its name and its
// content, made with the configuration's key. What cannot be authenticated is no
// entry, and is overwritten. A plugin that has a VM id of its own may do without.
//
// Whoever can write to shared data can put back what authentic workers wrote
// before. Entries bear their time, which bounds what that does: see RATIONALE.md.
type sharing struct {
	open bool
	key  []byte // nil: entries are not authenticated
	id   string // of the key
}

// vmID is the property that tells the VM's id.
var vmID = []string{"plugin_vm_id"}

// newSharing is how workers share, given the configuration's key, which may be
// empty.
func newSharing(key string) sharing {
	if key != "" {
		s := sharing{open: true, key: []byte(key)}
		s.id = hex.EncodeToString(s.mac("", nil)[:8])
		return s
	}
	id, err := proxywasm.GetProperty(vmID)
	return sharing{open: err == nil && len(id) > 0}
}

// name is the name of an entry. Workers with another key have other entries.
func (s *sharing) name(kind, location string) string {
	name := "orgate." + kind + "\x00"
	if s.key != nil {
		name += s.id + "\x00"
	}
	return name + location
}

// read is the content of an entry, nil if there is none.
func (s *sharing) read(name string) ([]byte, error) {
	entry, _, err := proxywasm.GetSharedData(name)
	if errors.Is(err, types.ErrorStatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.content(name, entry), nil
}

// errContended: other workers were always quicker.
var errContended = errors.New("shared data: changed by other workers again and again")

// update changes an entry by compare-and-swap. Change is given the content, nil
// if there is none, and returns what is to be written, nil for nothing. It is
// called again when another worker came first. Update reports whether it wrote.
//
// There is no comparing with nothing that all proxies understand. Envoy writes,
// whatever the version, if there is nothing, and compares no entry with
// version 0; nginx takes version 0 for nothing. So an entry that is not there is
// written with a version that none has, and, if that is refused, with 0.
func (s *sharing) update(name string, change func(content []byte) []byte) (bool, error) {
	const tries = 8
	nothing := uint32(math.MaxUint32)
	for range tries {
		entry, version, err := proxywasm.GetSharedData(name)
		switch {
		case errors.Is(err, types.ErrorStatusNotFound):
			entry, version = nil, nothing
			nothing = 0
		case err != nil:
			return false, err
		}
		changed := change(s.content(name, entry))
		if changed == nil {
			return false, nil
		}
		err = proxywasm.SetSharedData(name, s.entry(name, changed), version)
		if !errors.Is(err, types.ErrorStatusCasMismatch) {
			return err == nil, err
		}
	}
	return false, errContended
}

// entry is an entry with the content.
func (s *sharing) entry(name string, content []byte) []byte {
	if s.key == nil {
		return content
	}
	return append(s.mac(name, content), content...)
}

// maxContent is the longest content that is looked at, in bytes: a document, its
// Cache-Control, and what is said of it.
const maxContent = jwks.MaxDocument + 16<<10

// content is the content of an entry, nil if it is too long or not authentic.
func (s *sharing) content(name string, entry []byte) []byte {
	if s.key == nil {
		if len(entry) > maxContent {
			return nil
		}
		return entry
	}
	if len(entry) < sha256.Size || len(entry) > sha256.Size+maxContent {
		return nil
	}
	content := entry[sha256.Size:]
	if !hmac.Equal(entry[:sha256.Size], s.mac(name, content)) {
		return nil
	}
	return content
}

// mac authenticates the content under the name.
func (s *sharing) mac(name string, content []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(appendField(nil, 1, name)) // with its length, so that nothing passes for the content
	h.Write(content)
	return h.Sum(nil)
}
