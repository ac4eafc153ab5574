module fixture

go 1.26

require github.com/stella-ops/router v0.0.0

replace github.com/stella-ops/router => ./router
