package tokenreview

import "bytes"

// maxScanDepth is how deep scan looks into what it passes over; kube-apiserver sends objects within objects at most.
const maxScanDepth = 4

// scanner reads a review as kube-apiserver writes it: objects, lists, and strings without escapes or anything but ASCII.
// It takes nothing that could have a second reading: of everything else it says that it cannot read it, and parse asks
// encoding/json.
type scanner struct {
	rest []byte
	// bad is set once and for all by the first thing that is not as expected.
	bad bool
}

// scanned is what a review holds; the slices are parts of the body.
type scanned struct {
	apiVersion, kind, token []byte
	audiences               []string
}

// scan reads a whole review. It reports false where it is not sure.
func scan(body []byte) (scanned, bool) {
	var (
		found scanned
		seen  [5]bool
	)
	s := scanner{rest: body}
	s.object(func(name []byte) {
		var place int
		switch string(name) {
		case "kind":
			found.kind = s.text()
		case "apiVersion":
			place, found.apiVersion = 1, s.text()
		case "metadata":
			place = 2
			s.skip(0)
		case "spec":
			place = 3
			s.spec(&found)
		case "status":
			place = 4
			s.skip(0)
		default:
			s.bad = true
			return
		}
		s.bad = s.bad || seen[place]
		seen[place] = true
	})
	s.blanks()
	return found, !s.bad && len(s.rest) == 0
}

// spec reads the member of that name.
func (s *scanner) spec(into *scanned) {
	var token, audiences bool
	s.object(func(name []byte) {
		switch {
		case string(name) == "token" && !token:
			token, into.token = true, s.text()
		case string(name) == "audiences" && !audiences:
			audiences = true
			s.list(func() { into.audiences = append(into.audiences, string(s.text())) })
		default:
			s.bad = true
		}
	})
}

// skip passes over a value that is not looked at, but for its form.
func (s *scanner) skip(depth int) {
	s.blanks()
	switch {
	case s.bad || len(s.rest) == 0 || depth > maxScanDepth:
		s.bad = true
	case s.rest[0] == '"':
		s.text()
	case s.rest[0] == '{':
		s.object(func([]byte) { s.skip(depth + 1) })
	case s.rest[0] == '[':
		s.list(func() { s.skip(depth + 1) })
	case bytes.HasPrefix(s.rest, []byte("null")):
		s.rest = s.rest[len("null"):]
	default:
		s.bad = true
	}
}

// object reads one, and has each member's value read.
func (s *scanner) object(member func(name []byte)) {
	s.sequence('{', '}', func() {
		name := s.text()
		s.take(':')
		if !s.bad {
			member(name)
		}
	})
}

// list reads one, and has each value read.
func (s *scanner) list(value func()) { s.sequence('[', ']', value) }

// sequence reads what stands between open and end, separated by commas.
func (s *scanner) sequence(open, end byte, element func()) {
	s.take(open)
	if s.at(end) {
		return
	}
	for !s.bad {
		element()
		if s.at(end) {
			return
		}
		s.take(',')
	}
}

// text reads a string that stands for itself.
func (s *scanner) text() []byte {
	s.take('"')
	if s.bad {
		return nil
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text
		case c < ' ' || c > '~' || c == '\\':
			s.bad = true
			return nil
		}
	}
	s.bad = true
	return nil
}

// take passes over one character, which must be there.
func (s *scanner) take(c byte) {
	if !s.at(c) {
		s.bad = true
	}
}

// at passes over one character if it is next.
func (s *scanner) at(c byte) bool {
	s.blanks()
	if s.bad || len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// blanks passes over what JSON calls white space.
func (s *scanner) blanks() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\r' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}
