//go:build generate

package router

//go:generate go tool stellagen generate ./...
