package jwks

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Set reads the response's document with [Parse]. The error says what is wrong with
// the response, and is for the log.
func (r *Response) Set() (*Set, Result, error) {
	if result, err := r.Fault(MaxDocument); err != nil {
		return nil, result, err
	}
	set, err := Parse(r.Body)
	if err != nil {
		return nil, ResultNotSet, r.describe(err)
	}
	return set, ResultOK, nil
}

// Fault is what is wrong with a response before its document is looked at, which
// may have so many bytes.
func (r *Response) Fault(most int) (Result, error) {
	switch {
	case r.Local != "":
		return ResultNoAnswer, fmt.Errorf("no answer: the proxy says %s (status %d)", printable(r.Local), r.Status)
	case r.Misdirected != nil:
		return ResultDiscovery, r.describe(fmt.Errorf("discovery document: %w", r.Misdirected))
	case r.Status == 0:
		return ResultNoAnswer, errors.New("no answer")
	case r.Status/100 == 3 && r.Location != "":
		location, _, _ := strings.Cut(r.Location, "?") // What follows may be a secret.
		return ResultStatus, fmt.Errorf("status %d, a redirect to %s, which is not followed", r.Status,
			printable(location))
	case r.Status != 200:
		return ResultStatus, r.describe(fmt.Errorf("status %d", r.Status))
	case r.Body == "":
		return ResultEmpty, errors.New("no body")
	case len(r.Body) > most:
		return ResultTooLarge, fmt.Errorf("more than %d bytes", most)
	}
	return "", nil
}

// describe adds to an error what the response says that it is, if that is not
// plain JSON.
func (r *Response) describe(err error) error {
	media, _, _ := strings.Cut(r.ContentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if media != "" && media != "application/json" && !strings.HasSuffix(media, "+json") {
		err = fmt.Errorf("%w; content-type %s", err, printable(r.ContentType))
	}
	if r.ContentEncoding != "" && !strings.EqualFold(r.ContentEncoding, "identity") {
		err = fmt.Errorf("%w; content-encoding %s", err, printable(r.ContentEncoding))
	}
	return err
}

// noUsableKey is [ErrNoUsableKey] with the first few of the reasons.
func noUsableKey(set *Set) error {
	const most = 5
	if len(set.Unusable) == 0 {
		return fmt.Errorf("%w: the set is empty", ErrNoUsableKey)
	}
	text := ""
	for i, reason := range set.Unusable {
		if i == most {
			text += "; and " + strconv.Itoa(len(set.Unusable)-most) + " more"
			break
		}
		if i > 0 {
			text += "; "
		}
		text += reason.Error()
	}
	return fmt.Errorf("%w: %s", ErrNoUsableKey, text)
}

// Difference is how the keys differ from those before, for the log: which stay,
// which are new and which are gone, by kid. Kids are text from elsewhere: they
// are quoted, and cut if they are long or many.
func (s *Set) Difference(before *Set) string {
	var stay, added, gone []string
	for _, key := range s.Keys {
		if before != nil && before.holds(key) {
			stay = append(stay, key.ID)
		} else {
			added = append(added, key.ID)
		}
	}
	if before != nil {
		for _, key := range before.Keys {
			if !s.holds(key) {
				gone = append(gone, key.ID)
			}
		}
	}
	var parts []string
	for _, part := range []struct {
		what string
		kids []string
	}{{"old", stay}, {"new", added}, {"gone", gone}} {
		if len(part.kids) > 0 {
			parts = append(parts, part.what+" "+kidList(part.kids))
		}
	}
	return strings.Join(parts, ", ")
}

// kidList names keys by their kids.
func kidList(kids []string) string {
	const most = 10
	text := ""
	for i, kid := range kids {
		if i == most {
			return text + " and " + strconv.Itoa(len(kids)-most) + " more"
		}
		if i > 0 {
			text += " "
		}
		if kid == "" {
			text += "(no kid)"
		} else {
			text += printable(kid)
		}
	}
	return text
}

// printable quotes text from elsewhere, and cuts it if it is long.
func printable(text string) string {
	const longest = 128
	if len(text) > longest {
		return strconv.QuoteToASCII(text[:longest]) + "…"
	}
	return strconv.QuoteToASCII(text)
}
