// Package artifacts has what stellagen exports judged by tools that are not ours: validators, linters and compilers of
// those who will read it. It is a module of its own, so that no service inherits them, and holds tests only.
//
// Go tools are in go.mod. Tools from the npm registry are in package.json, pinned by package-lock.json, and installed
// into node_modules by `make test`, which runs this module after the product's own tests; promtool is the machine's. A
// tool that is missing fails its specs. A script that runs an npm tool is an .mjs file beside the specs that call it.
package artifacts
