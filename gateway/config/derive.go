package config

// derive fills in what counts where nobody says anything, and that depends on the machine or on other settings.
func (l *Loaded) derive(host string) {
	f := &l.File
	if f.Node.ID == "" {
		f.Node.ID = host
	}
	if !l.says(httpPath) && len(f.Listeners) > 0 {
		f.HTTP = ""
	}
	for i := range f.Limits.Rules {
		if r := &f.Limits.Rules[i]; r.Burst == 0 {
			r.Burst = r.Rate
		}
	}
	if f.Dev.Enabled && f.Dev.Key == "" && f.Dev.TokenFile != "" {
		f.Dev.Key = f.Dev.TokenFile + ".key"
	}
	l.policies()
}
