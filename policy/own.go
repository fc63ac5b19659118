package policy

import (
	"strings"
	"unsafe"
)

// Own returns a copy of the identity that owns all that it holds, and about how
// many bytes it takes. Its texts are parts of one string and its lists of one
// array: few objects to keep, and for the garbage collector to look at.
func (id *Identity) Own() (owned *Identity, size int) {
	var texts strings.Builder
	texts.Grow(id.textBytes())
	own := func(s string) string {
		begin := texts.Len()
		texts.WriteString(s)
		return texts.String()[begin:]
	}
	c := *id // what is left out is the configuration's, too
	c.Headers = make([][2]string, len(id.Headers))
	for i, h := range id.Headers {
		c.Headers[i] = [2]string{h[0], own(h[1])} // The name is the configuration's.
	}
	for _, s := range []*string{&c.Organization, &c.Username, &c.ConsumerKey} {
		*s = own(*s)
	}
	lists := make([]string, 0, len(id.Scopes)+len(id.Roles))
	ownList := func(list []string) []string {
		begin := len(lists)
		for _, s := range list {
			lists = append(lists, own(s))
		}
		return lists[begin:len(lists):len(lists)]
	}
	c.Scopes, c.Roles = ownList(id.Scopes), ownList(id.Roles)
	c.claims = make([]claimValues, len(id.claims))
	for i, v := range id.claims {
		c.claims[i] = claimValues{v.slot, make([]string, len(v.texts))}
		for j, s := range v.texts {
			c.claims[i].texts[j] = own(s)
		}
		size += int(unsafe.Sizeof(v)) + len(v.texts)*int(unsafe.Sizeof(""))
	}
	return &c, size + int(unsafe.Sizeof(c)) + texts.Cap() +
		len(c.Headers)*int(unsafe.Sizeof([2]string{})) + len(c.LeftOut)*int(unsafe.Sizeof(LeftOut{})) +
		len(lists)*int(unsafe.Sizeof(""))
}

// textBytes is the length of all texts but the headers' names.
func (id *Identity) textBytes() int {
	n := len(id.Organization) + len(id.Username) + len(id.ConsumerKey)
	for _, h := range id.Headers {
		n += len(h[1])
	}
	for _, list := range [][]string{id.Scopes, id.Roles} {
		for _, s := range list {
			n += len(s)
		}
	}
	for _, v := range id.claims {
		for _, s := range v.texts {
			n += len(s)
		}
	}
	return n
}

// Own returns a copy of the proof that owns all that it holds, and about how many
// bytes it takes.
func (t *Proof) Own() (owned *Proof, size int) {
	if t.group.sole == t {
		return t, 0
	}
	c := *t
	c.claims = make([]claimed, len(t.claims))
	size = int(unsafe.Sizeof(c))
	for i, claim := range t.claims {
		claim.value = strings.Clone(claim.value)
		c.claims[i] = claim
		size += int(unsafe.Sizeof(claim)) + len(claim.value)
		// What is not a claim's own text is the configuration's.
		for _, organization := range []*string{&c.byClaim, &c.organization} {
			if *organization == claim.value {
				*organization = claim.value
			}
		}
	}
	return &c, size
}
