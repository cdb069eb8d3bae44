module github.com/ostiary/ostiary

go 1.26.0

require (
	k8s.io/apimachinery v0.37.2 // indirect
	k8s.io/apiserver v0.37.2 // indirect
)
