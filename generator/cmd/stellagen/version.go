package main

import "runtime/debug"

type versionCommand struct{}

func (versionCommand) Run(out *output) error { //nolint:unparam // kong calls it, and wants an error
	out.printf("stellagen %s\n", version())
	return nil
}

// version is what version prints.
func version() string {
	if v := buildVersion(); v != "" {
		return v
	}
	return "(unknown version)"
}

// buildVersion is that of the module that the program was built from; empty if it is not known.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.Main.Version
}
