package config

// relations checks what no setting can say by itself.
func (r *reader) relations() {
	f := &r.loaded.File
	fault := func(path, message, hint string) {
		r.faults = append(r.faults, Fault{Origin: r.loaded.Origin(path), Path: path, Message: message, Hint: hint})
	}
	switch {
	case f.Dev.Enabled && f.Dev.TokenFile == "":
		fault("dev.enabled", "development mode needs a file for the token", "say dev.tokenFile")
	case !f.Dev.Enabled && f.Dev.TokenFile != "":
		fault("dev.tokenFile", "is for development mode alone", "say dev.enabled: true, or leave it out")
	case !f.Dev.Enabled && f.Dev.Key != "":
		fault("dev.key", "is for development mode alone", "say dev.enabled: true, or leave it out")
	}
}
