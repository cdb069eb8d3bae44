package identityheader

import (
	"net/http"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/memo"
)

// Asserter returns the last step before the wire in one dialect: it strips the dialect's headers and sets those of an
// identity, whose encoding is remembered as long as the identity is in use. Where encode fails, nothing is set, and the
// request must not be sent: without these headers the API server would take it as the gate's own, or as nobody's. What it
// returns is safe for concurrent use on different headers.
func Asserter(encode func(*identity.Identity) (*Encoded, error), strip func(http.Header)) func(http.Header, *identity.Identity) error {
	known := memo.New[*identity.Identity, *Encoded]()
	return func(h http.Header, id *identity.Identity) error {
		strip(h)
		encoded, ok := known.Get(id)
		if !ok {
			var err error
			if encoded, err = encode(id); err != nil {
				return err
			}
			known.Put(id, encoded)
		}
		encoded.Set(h)
		return nil
	}
}
