package jwks

import (
	"encoding/binary"
	"time"
)

// Record is what the workers of a proxy tell each other of one location. Each
// reads it at its ticks ([Source.Merge]), claims the lease in it before a fetch
// ([Source.Claim]), and adds what came of the fetch ([Record.Merge]).
//
// Times are in nanoseconds since 1970, 0 for none. They are all bounded by what
// [Record.valid] lets pass, since whoever writes them may have a wrong clock.
type Record struct {
	// Document is when the fetch of the newest document began.
	Document int64
	// Failed is when the newest fetch began that failed, after Failures in a
	// row. The next may begin at Retry.
	Failed   int64
	Failures uint32
	Retry    int64
	// Demanded is when the last fetch began that tokens asked for whose key the
	// keys did not hold.
	Demanded int64
	// Lease says which worker fetches now.
	Lease Lease
}

// Miss is a kid that a document was fetched for and does not hold.
type Miss struct {
	Kid uint64 // a hash
	At  int64  // when the fetch began, in nanoseconds since 1970
}

// Document is a response that another worker shares.
type Document struct {
	// At is when the fetch that brought it began.
	At time.Time
	// Response is what was given to that worker's [Source.Finish].
	Response Response
	// Missed are kids that it was fetched for in vain.
	Missed []Miss
}

const (
	// version begins every entry. Another version is no entry.
	version = 2
	// maxFailures is how many failures in a row are told.
	maxFailures = 64

	sizeOfRecord = 1 + 2*8 + 4 + 2*8 + 3*8 + 1
)

// valid is the record without what no worker can have meant: documents and
// fetches of the future, and failures that defer the next fetch for too long. A
// clock that was set back leaves such things. The lease is judged apart:
// [Lease.acquire].
func (r Record) valid(now time.Time) Record {
	at := now.UnixNano()
	past := func(t int64) bool { return 0 < t && t <= at }
	if !past(r.Document) {
		r.Document = 0
	}
	if !past(r.Demanded) {
		r.Demanded = 0
	}
	if !past(r.Failed) || r.Failures == 0 || r.Retry <= 0 || r.Retry-at > int64(MaxBackoff) {
		r.Failed, r.Failures, r.Retry = 0, 0, 0
	}
	r.Failures = min(r.Failures, maxFailures)
	return r
}

// Merge adds what a worker's last fetch has shown: [Outcome.Record]. What this
// worker finds invalid stays, since it is perhaps its own clock that is wrong,
// until something better is known. The lease is not touched.
func (r Record) Merge(now time.Time, news Record) Record {
	valid := r.valid(now)
	if news.Demanded != 0 {
		r.Demanded = max(valid.Demanded, news.Demanded)
	}
	switch {
	case news.Document != 0 && news.Document >= valid.Document:
		r.Document = news.Document
		if valid.Failed <= news.Document {
			r.Failed, r.Failures, r.Retry = 0, 0, 0
		}
	case news.Failed > valid.Document && news.Failed >= valid.Failed:
		r.Failed = news.Failed
		r.Failures = max(valid.Failures, min(news.Failures, maxFailures))
		r.Retry = max(valid.Retry, news.Retry)
	}
	return r
}

// Encode is the record as an entry of shared data.
func (r Record) Encode() []byte {
	taken := byte(0)
	if r.Lease.Taken {
		taken = 1
	}
	b := make([]byte, 0, sizeOfRecord)
	b = append(b, version)
	b = appendTime(b, r.Document)
	b = appendTime(b, r.Failed)
	b = binary.LittleEndian.AppendUint32(b, r.Failures)
	b = appendTime(b, r.Retry)
	b = appendTime(b, r.Demanded)
	b = binary.LittleEndian.AppendUint64(b, r.Lease.Owner)
	b = appendTime(b, r.Lease.Begun)
	b = appendTime(b, r.Lease.Ends)
	return append(b, taken)
}

// ParseRecord reads an entry. What is none is the zero record.
func ParseRecord(b []byte) Record {
	if len(b) != sizeOfRecord || b[0] != version || b[sizeOfRecord-1] > 1 {
		return Record{}
	}
	return Record{
		Document: timeAt(b[1:]),
		Failed:   timeAt(b[9:]),
		Failures: binary.LittleEndian.Uint32(b[17:]),
		Retry:    timeAt(b[21:]),
		Demanded: timeAt(b[29:]),
		Lease: Lease{
			Owner: binary.LittleEndian.Uint64(b[37:]),
			Begun: timeAt(b[45:]),
			Ends:  timeAt(b[53:]),
			Taken: b[61] == 1,
		},
	}
}

// Encode is the document as an entry of shared data.
func (d Document) Encode() []byte {
	missed := d.Missed[:min(len(d.Missed), maxMisses)]
	b := make([]byte, 0, 14+16*len(missed)+len(d.Response.CacheControl)+len(d.Response.Body))
	b = append(b, version)
	b = appendTime(b, d.At.UnixNano())
	b = append(b, byte(len(missed)))
	for _, m := range missed {
		b = binary.LittleEndian.AppendUint64(b, m.Kid)
		b = appendTime(b, m.At)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.Response.CacheControl)))
	b = append(b, d.Response.CacheControl...)
	return append(b, d.Response.Body...)
}

// ParseDocument reads an entry, and reports whether it is one. The document in
// it is no more than text: [Source.Adopt] reads it as if it had been fetched.
func ParseDocument(b []byte) (Document, bool) {
	if len(b) < 10 || b[0] != version || int(b[9]) > maxMisses {
		return Document{}, false
	}
	d := Document{At: time.Unix(0, timeAt(b[1:]))}
	count, rest := int(b[9]), b[10:]
	if len(rest) < 16*count+4 {
		return Document{}, false
	}
	for i := range count {
		m := rest[16*i:]
		d.Missed = append(d.Missed, Miss{Kid: binary.LittleEndian.Uint64(m), At: timeAt(m[8:])})
	}
	rest = rest[16*count:]
	size := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	if uint64(size) > uint64(len(rest)) {
		return Document{}, false
	}
	d.Response = Response{Status: 200, CacheControl: string(rest[:size]), Body: string(rest[size:])}
	return d, true
}

// Supersedes reports whether the document may take the place of an entry: one
// that is older, is from the future, or is none.
func (d Document) Supersedes(entry []byte, now time.Time) bool {
	if len(entry) < 9 || entry[0] != version {
		return true
	}
	at := timeAt(entry[1:])
	return at < d.At.UnixNano() || at > now.UnixNano()
}

func appendTime(b []byte, t int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(t)) }

func timeAt(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }
