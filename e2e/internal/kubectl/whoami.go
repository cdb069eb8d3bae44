package kubectl

import (
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// WhoAmI runs "kubectl auth whoami" and returns whom the API server took the caller for. A refusal is a *FailedError.
func (c Command) WhoAmI(ctx context.Context, args ...string) (authenticationv1.UserInfo, error) {
	out, err := c.MustSucceed(ctx, append([]string{"auth", "whoami", "-o", "json"}, args...)...)
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	var review authenticationv1.SelfSubjectReview
	if err := json.Unmarshal([]byte(out), &review); err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("read the answer of kubectl auth whoami: %w; it wrote: %s", err, out)
	}
	return review.Status.UserInfo, nil
}
