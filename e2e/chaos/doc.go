// Package chaos has the history of a run of revocations, and the model that it is checked by.
package chaos
