module github.com/stella-ops/router/benchmarks

go 1.26.0

replace github.com/stella-ops/router => ../

require (
	github.com/danielgtaylor/huma/v2 v2.37.2
	github.com/stella-ops/router v0.0.0-00010101000000-000000000000
)

require github.com/Masterminds/semver/v3 v3.5.0 // indirect
