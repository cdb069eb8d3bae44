package oidclogin

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// page is what the browser shows at the end.
type page struct{ Heading, Text string }

// style is the page's own; nothing is fetched from anywhere.
const style = `:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}h1{font-size:1.5rem;font-weight:600}`

func layout() *template.Template {
	return template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Heading}}</title>
<style>` + style + `</style></head><body><main><h1>{{.Heading}}</h1><p>{{.Text}}</p></main></body></html>
`))
}

// writePage sends a page that runs nothing, loads nothing and is kept nowhere.
func writePage(w http.ResponseWriter, status int, content page) {
	sum := sha256.Sum256([]byte(style))
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The browser has gone: nobody is left to tell.
	_ = layout().Execute(w, content)
}
