package kubectl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
)

// listing is a list that a watch can go on from.
type listing interface {
	printed

	// version is where; empty where the server knows no such place.
	version() string
}

// event is one line of a watch.
type event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// maxEventBytes bounds one line of a watch.
const maxEventBytes = 1 << 20

// errEnded is the end of a watch that may go on with a new list.
var errEnded = errors.New("the gate ended the watch")

// follow hands on the events of a watch until ctx ends, which is no error.
func (s *server) follow(ctx context.Context, path string, query url.Values, version string, each func(event) error) error {
	query.Set("watch", "true")
	query.Set("resourceVersion", version)
	query.Del("limit")
	query.Del("continue")
	body, err := withQuery(s.client.RESTClient().Get().AbsPath(path), query).Stream(ctx)
	if err != nil {
		return s.explainLedger(err, nil)
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEventBytes)
	for lines.Scan() {
		var one event
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return exitWith(ExitFailed, "%s: an event cannot be read: %w", s.url, err)
		}
		if one.Type == adminapi.EventError {
			var status metav1.Status
			_ = json.Unmarshal(one.Object, &status)
			return exitWith(ExitUnreachable, "%w: %s", errEnded, printable(status.Message))
		}
		if err := each(one); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return exitWith(ExitUnreachable, "%s: %w", s.url, err)
	}
	return exitWith(ExitUnreachable, "%w", errEnded)
}

// watched says how one kind is watched.
type watched struct {
	path  string
	query func(*getFlags, time.Time) (url.Values, error)
	// show makes of an object what is printed.
	show func(object []byte) (printed, error)
}

// watch prints changes until ctx ends. Lines of tables stand under the heading that the list printed.
func (s *server) watch(ctx context.Context, chosen *getFlags, output *format, streams genericiooptions.IOStreams, w watched, version string) error {
	query, err := w.query(chosen, time.Now())
	if err != nil {
		return err
	}
	return s.follow(ctx, w.path, query, version, func(one event) error {
		shown, err := w.show(one.Object)
		if err != nil {
			return exitWith(ExitFailed, "%s: an event cannot be read: %w", s.url, err)
		}
		if *output != formatTable {
			return output.print(streams.Out, shown)
		}
		lines := shown.table()[1:]
		if one.Type == adminapi.EventDeleted {
			for i := range lines {
				lines[i] = append(lines[i], "(gone)")
			}
		}
		return printTable(streams.Out, lines)
	})
}
