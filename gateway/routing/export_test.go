package routing

// Whole makes a snapshot with nothing of the one before.
func (r *Registry) Whole() *Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rel := range r.releases {
		rel.now = nil
	}
	return build(nil, r.releases, r.ladder, r)
}
