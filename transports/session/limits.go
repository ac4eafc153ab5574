package session

// Limits bound what one session takes. Zero fields mean the defaults.
type Limits struct {
	// Memory is the bytes of bodies that may be held; 64 MiB.
	Memory int64
	// Shared bounds what several sessions hold together. May be nil.
	Shared *Memory
	// Pending is the bytes that may wait to be written, data of streams aside, before new calls are refused; 4 MiB.
	Pending int
	// Cancels is how many calls a minute this side cancels before it begins no new ones; [DefaultCancels]. A peer that
	// cancels more than twice as many ends its session.
	Cancels int
}

func (l *Limits) memory() int64 {
	if l.Memory == 0 {
		return sessionMemory
	}
	return l.Memory
}

func (l *Limits) cancels() int {
	if l.Cancels == 0 {
		return DefaultCancels
	}
	return l.Cancels
}
