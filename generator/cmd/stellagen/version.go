package main

import "runtime/debug"

type versionCommand struct{}

func (versionCommand) Run(out *output) error { //nolint:unparam // kong calls it, and wants an error
	out.printf("%s\n", version())
	return nil
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "stellagen (unknown version)"
	}
	return "stellagen " + info.Main.Version
}
