// h2spec judges the gateway's HTTP/2, in a module of its own so that nobody inherits it.
module github.com/stella-ops/router/e2e/h2spec

go 1.26.0

require (
	github.com/Masterminds/semver/v3 v3.5.0 // indirect
	github.com/fatih/color v1.19.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

require (
	github.com/stella-ops/router v0.0.0
	github.com/summerwind/h2spec v2.2.1+incompatible
)

replace github.com/stella-ops/router => ../..
