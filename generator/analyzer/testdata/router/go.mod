module github.com/stella-ops/router

go 1.26
