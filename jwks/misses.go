package jwks

import "time"

// maxMisses is how many kids are remembered of each location.
const maxMisses = 32

// misses remembers kids that the keys did not have: since when, and whether a
// fetch has been made for them in vain. Not all are remembered while very many
// come; one that is not is asked for again.
type misses []miss

type miss struct {
	kid   uint64
	fetch uint64        // the last one that had begun when the kid was asked for
	at    time.Duration // when it was asked for, or the fetch in vain began
	vain  bool
}

// ask remembers a kid that is asked for now. It reports whether a fetch was made
// for it in vain, within the cool-down.
func (m *misses) ask(kid string, now, cooldown time.Duration, fetch uint64) bool {
	asked := miss{kid: hash(kid), fetch: fetch, at: now}
	known := m.find(asked.kid)
	switch {
	case known == nil:
		m.add(asked)
	case known.vain && now < known.at+cooldown:
		return true
	case known.vain:
		*known = asked
	}
	return false
}

// fetched says that a fetch has brought a document. It was made for all kids that
// had been asked for before it began.
func (m misses) fetched(fetch uint64, begun time.Duration) {
	for i := range m {
		if !m[i].vain && m[i].fetch < fetch {
			m[i].vain, m[i].at = true, begun
		}
	}
}

// adopted says the same of another worker's document.
func (m misses) adopted(begun time.Duration) {
	for i := range m {
		if !m[i].vain && m[i].at < begun {
			m[i].vain, m[i].at = true, begun
		}
	}
}

// learn takes over that another worker's fetch was made for a kid in vain.
func (m *misses) learn(kid uint64, begun time.Duration) {
	learned := miss{kid: kid, at: begun, vain: true}
	known := m.find(kid)
	switch {
	case known == nil:
		m.add(learned)
	case !known.vain || known.at < begun:
		*known = learned
	}
}

// pending is since when a kid has been asked for that no fetch was made for. It
// reports whether there is one.
func (m misses) pending() (since time.Duration, ok bool) {
	for i := range m {
		if !m[i].vain && (!ok || m[i].at < since) {
			since, ok = m[i].at, true
		}
	}
	return since, ok
}

// find is what is remembered of a kid, or nil.
func (m misses) find(kid uint64) *miss {
	for i := range m {
		if m[i].kid == kid {
			return &m[i]
		}
	}
	return nil
}

// add remembers one more, in place of the oldest one that was asked for in vain.
func (m *misses) add(one miss) {
	if len(*m) < maxMisses {
		*m = append(*m, one)
		return
	}
	var oldest *miss
	for i := range *m {
		if known := &(*m)[i]; known.vain && (oldest == nil || known.at < oldest.at) {
			oldest = known
		}
	}
	if oldest != nil && oldest.at <= one.at {
		*oldest = one
	}
}

// hash is FNV-1a, which is the same in all workers.
func hash(kid string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(kid) {
		h = (h ^ uint64(kid[i])) * 1099511628211
	}
	return h
}
