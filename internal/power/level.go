package power

import (
	"fmt"
	"strings"
)

// Level is how much a subject may do. Levels are in rising order; the zero value is not one.
type Level int

// The levels.
const (
	// Unjudged is the zero value: nobody looked, or the policy could not be read.
	Unjudged Level = iota
	// None is nothing but what every authenticated caller may do: ask who they are, and what there is.
	None
	// Read is reading something.
	Read
	// Write is changing something.
	Write
	// Namespace is all of a namespace, or what its accounts and Secrets give.
	Namespace
	// Strong is more than a namespace, without a way to everything that this package knows of: reading every Secret is one.
	Strong
	// Equivalent is a way to everything.
	Equivalent
	// ClusterAdmin is everything, by a role.
	ClusterAdmin
	// Masters is everything, without being asked: a member of system:masters.
	Masters
)

// String is the word in reports.
func (l Level) String() string {
	switch l {
	case None:
		return "none"
	case Read:
		return "read"
	case Write:
		return "write"
	case Namespace:
		return "namespace"
	case Strong:
		return "strong"
	case Equivalent:
		return "equivalent"
	case ClusterAdmin:
		return "cluster-admin"
	case Masters:
		return "masters"
	default:
		return "unknown"
	}
}

// IsWholeCluster reports whether the level amounts to everything.
func (l Level) IsWholeCluster() bool { return l >= Equivalent }

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(text []byte) error {
	for level := Unjudged; level <= Masters; level++ {
		if level.String() == string(text) {
			*l = level
			return nil
		}
	}
	return fmt.Errorf("%q is no level of power", text)
}

// Reason is why a subject has a level.
type Reason struct {
	// What says what the subject may do, for example "read Secrets in ci".
	What string `json:"what"`
	// Through are the bindings that give it, each "<binding> to <role>".
	Through []string `json:"through,omitempty"`
	// Becomes is whom that makes of the subject, where it leads to somebody else's rights.
	Becomes string `json:"becomes,omitempty"`
}

// String is the reason in a sentence.
func (r Reason) String() string {
	var text strings.Builder
	text.WriteString(r.What)
	for i, through := range r.Through {
		if i == 0 {
			text.WriteString(", by " + through)
		} else {
			text.WriteString(" and " + through)
		}
	}
	if r.Becomes != "" {
		text.WriteString(", which makes it " + r.Becomes)
	}
	return text.String()
}

// Power is what a subject may do, in short.
type Power struct {
	Level Level `json:"level"`
	// Reasons say why; at most MaxReasons, in a fixed order.
	Reasons []Reason `json:"reasons,omitempty"`
	// Namespaces are those in which the subject may do something, beyond what it may do in all; sorted. AllNamespaces says
	// that a binding of the cluster gives something beyond the basics.
	Namespaces    []string `json:"namespaces,omitempty"`
	AllNamespaces bool     `json:"allNamespaces,omitempty"`
}

// MaxReasons is how many reasons are told: one would do, some show that taking one away is not enough.
const MaxReasons = 8
