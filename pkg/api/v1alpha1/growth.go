package v1alpha1

// GrowthRefused says that the agent has answered the size now ordered, and not by making it: no bytes are on their
// way. With Aborted, Unavailable or no code at all the agent is at it.
func (lv *LogicalVolume) GrowthRefused() bool {
	if lv.Status.Phase != PhaseReady || lv.Status.ObservedGeneration != lv.Generation {
		return false
	}
	switch lv.Status.Code {
	case "OutOfRange", "InvalidArgument", "ResourceExhausted", "FailedPrecondition":
		return true
	}
	return false
}
