package edge

import "strconv"

// limit refuses a body whose announced length is over the endpoint's limit, before anything is sent to a service. A
// body of unknown length is counted while it passes, by the pump.
func limit(x *Exchange) *problem {
	if x.length > x.route.MaxBody {
		return tooLarge(x.route.MaxBody)
	}
	return nil
}

func tooLarge(limit int64) *problem {
	return &problem{Kind: kindTooLarge, detail: "the endpoint takes bodies of up to " + strconv.FormatInt(limit, 10) + " bytes"}
}
