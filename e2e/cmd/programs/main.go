// Command programs builds every program that the end-to-end tests run, as the tests themselves do. Where it has done so,
// binaries.BuiltVariable spares each test package to ask whether they are fresh.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
)

func main() {
	if _, err := binaries.FromEnvironment(os.Stderr).Build(context.Background(), append(binaries.All(), binaries.Helm)...); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
