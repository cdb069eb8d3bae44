package review_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/review"
)

// FuzzRead: a file that is taken is what was frozen: written again and read again, it has the same hash.
func FuzzRead(f *testing.F) {
	r, err := review.Start(build(0, "a"), "v1", "boss", false)
	if err != nil {
		f.Fatal(err)
	}
	var good bytes.Buffer
	if err := r.Write(&good); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte(`{"apiVersion":"ostiary.dev/v1alpha1","kind":"AccessReview"}`))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := review.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := read.Write(&again); err != nil {
			t.Fatal(err)
		}
		if twice, err := review.Read(&again); err != nil || twice.Hash != read.Hash {
			t.Errorf("what was taken is not taken again: %v", err)
		}
		_ = read.Sheet()
	})
}

// FuzzDecide: whatever a sheet holds, nobody decides about themselves or what they issued, nothing is decided that is not in
// the population, and a sheet with a fault decides nothing that is kept without its hash.
func FuzzDecide(f *testing.F) {
	for _, seed := range []string{
		heading + "SECRET=ci/a,ruth,keep,,\nX509SHA256=aa,ruth,keep,break glass,\n", heading + "X509SHA256=aa,alice,keep,mine,\n", heading + "X509SHA256=aa, Alice,KEEP,mine,\n",
		"ID,REVIEWER,DECISION,REASON\n'=1,x,revoke,y\n", "\ufeffid,reviewer,decision,reason\n", "\"", "a,b\nc\n",
	} {
		f.Add(seed)
	}
	frozen, err := review.Start(build(0, "a"), "v1", "boss", false)
	if err != nil {
		f.Fatal(err)
	}
	encoded, err := json.Marshal(frozen)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sheet string) {
		r, err := review.Read(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if r.Decide(strings.NewReader(sheet), now().Add(time.Hour), true) != nil {
			return
		}
		for _, d := range r.Decisions {
			item := r.Item(d.ID)
			switch {
			case item == nil:
				t.Errorf("%q was decided and is not in the population", d.ID)
			case d.Reviewer == "" || strings.EqualFold(d.Reviewer, item.Username) || strings.EqualFold(d.Reviewer, item.IssuedBy):
				t.Errorf("%q decided about %s", d.Reviewer, d.ID)
			case d.Verdict != review.Keep && d.Verdict != review.Revoke:
				t.Errorf("the verdict %q was taken", d.Verdict)
			}
		}
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		if _, err := review.Read(&out); err != nil {
			t.Errorf("what was decided is not taken again: %v", err)
		}
	})
}
