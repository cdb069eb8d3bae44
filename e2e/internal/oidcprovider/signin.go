package oidcprovider

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"html/template"
	"net/http"
)

const (
	signInPath   = "/sign-in"
	requestField = "request"
	formField    = "form"
	// formCookie ties the form to the browser that asked for it.
	formCookie = "__Host-form"
)

// signIn is the page on which people type their name and password.
type signIn struct {
	storage  *storage
	callback func(context.Context, string) string
}

// pageContent is what the page shows.
type pageContent struct{ Request, Form, Problem string }

func page() *template.Template {
	return template.Must(template.New("sign-in").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head><body><main>
<h1>Sign in</h1>{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form method="post"><input type="hidden" name="request" value="{{.Request}}"><input type="hidden" name="form" value="{{.Form}}">
<label>Name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button></form></main></body></html>
`))
}

func (s *signIn) show(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, pageContent{Request: r.URL.Query().Get(requestField)})
}

func (s *signIn) render(w http.ResponseWriter, status int, content pageContent) {
	content.Form = rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: formCookie, Value: content.Form, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// The browser has gone: nobody is left to tell.
	_ = page().Execute(w, content)
}

func (s *signIn) check(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(formCookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostFormValue(formField))) != 1 {
		http.Error(w, "this form is not yours", http.StatusForbidden)
		return
	}
	id := r.PostFormValue(requestField)
	if err := s.storage.signIn(id, r.PostFormValue("username"), r.PostFormValue("password")); err != nil {
		s.render(w, http.StatusUnauthorized, pageContent{Request: id, Problem: err.Error()})
		return
	}
	http.Redirect(w, r, s.callback(r.Context(), id), http.StatusSeeOther)
}
