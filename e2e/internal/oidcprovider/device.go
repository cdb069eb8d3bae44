package oidcprovider

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// devicePath is the page on which people type in the code that another machine shows.
	devicePath = "/device"
	// deviceLifetime and devicePoll are short: the tests do not wait for a person.
	deviceLifetime, devicePoll = 2 * time.Minute, time.Second
)

// deviceConfig is how codes are made.
func deviceConfig() op.DeviceAuthorizationConfig {
	return op.DeviceAuthorizationConfig{Lifetime: deviceLifetime, PollInterval: devicePoll, UserFormPath: devicePath, UserCode: op.UserCodeBase20}
}

// deviceRequest is a machine that waits for a person.
type deviceRequest struct {
	code  string
	state op.DeviceAuthorizationState
}

// StoreDeviceAuthorization remembers a machine that waits.
func (s *storage) StoreDeviceAuthorization(_ context.Context, clientID, deviceCode, userCode string, expires time.Time, scopes []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.devices[userCode]; taken {
		return op.ErrDuplicateUserCode
	}
	s.devices[userCode] = &deviceRequest{code: deviceCode, state: op.DeviceAuthorizationState{ClientID: clientID, Scopes: scopes, Expires: expires}}
	return nil
}

// GetDeviceAuthorizatonState says whether the person was there.
func (s *storage) GetDeviceAuthorizatonState(_ context.Context, clientID, deviceCode string) (*op.DeviceAuthorizationState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for userCode, request := range s.devices {
		if subtle.ConstantTimeCompare([]byte(request.code), []byte(deviceCode)) == 1 && request.state.ClientID == clientID {
			state := request.state
			if state.Done {
				delete(s.devices, userCode) // it is good once
			}
			return &state, nil
		}
	}
	return nil, errors.New("no such device code")
}

// allow completes the wait of a machine for a user whose password is right.
func (s *storage) allow(userCode, name, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.devices[strings.ToUpper(strings.TrimSpace(userCode))]
	if !ok || request.state.Done || time.Now().After(request.state.Expires) {
		return errors.New("no machine waits with this code")
	}
	if !s.passes(name, password) {
		return errors.New("wrong user name or password")
	}
	request.state.Done, request.state.Subject, request.state.AMR, request.state.AuthTime = true, name, []string{"pwd"}, time.Now()
	return nil
}

// deviceContent is what the page shows.
type deviceContent struct {
	UserCode, Form, Problem string
	Done                    bool
}

func deviceTemplate() *template.Template {
	return template.Must(template.New("device").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Let a machine in</title></head><body><main>
{{if .Done}}<h1>The machine is let in</h1>{{else}}<h1>Let a machine in</h1>{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form method="post"><input type="hidden" name="form" value="{{.Form}}">
<label>Code <input name="user_code" value="{{.UserCode}}" autocomplete="off" required></label>
<label>Name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Let it in</button></form>{{end}}</main></body></html>
`))
}

func (s *signIn) showDevice(w http.ResponseWriter, r *http.Request) {
	renderDevice(w, http.StatusOK, deviceContent{UserCode: r.URL.Query().Get("user_code")})
}

func renderDevice(w http.ResponseWriter, status int, content deviceContent) {
	content.Form = rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: formCookie, Value: content.Form, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// The browser has gone: nobody is left to tell.
	_ = deviceTemplate().Execute(w, content)
}

func (s *signIn) checkDevice(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(formCookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostFormValue(formField))) != 1 {
		http.Error(w, "this form is not yours", http.StatusForbidden)
		return
	}
	code := r.PostFormValue("user_code")
	if err := s.storage.allow(code, r.PostFormValue("username"), r.PostFormValue("password")); err != nil {
		renderDevice(w, http.StatusUnauthorized, deviceContent{UserCode: code, Problem: err.Error()})
		return
	}
	renderDevice(w, http.StatusOK, deviceContent{Done: true})
}

var _ op.DeviceAuthorizationStorage = (*storage)(nil)
