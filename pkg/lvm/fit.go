package lvm

import "fmt"

// Shortage is the error of volumes that a Space does not hold together. It is ErrNoSpace.
type Shortage struct {
	// WantedBytes are what all of them take, FreeBytes what there is: of the thin pool where ThinPool is set, else of
	// the volume group.
	WantedBytes, FreeBytes int64
	ThinPool               string
	// Legs: the bytes would do, but they are not free on enough physical volumes, whatever the order in which the
	// volumes and those promised before are made.
	Legs bool
}

func (s *Shortage) Error() string {
	text := fmt.Sprintf("%d bytes wanted, %d free", s.WantedBytes, s.FreeBytes)
	switch {
	case s.Legs:
		text += ", on too few physical volumes for the stripes or copies wanted"
	case s.ThinPool != "":
		text += " in thin pool " + s.ThinPool
	}
	return text + ": " + ErrNoSpace.Error()
}

// Unwrap makes a Shortage ErrNoSpace.
func (s *Shortage) Unwrap() error { return ErrNoSpace }

// Check answers whether volumes fit besides the promised ones. It is yes exactly if Place succeeds for each of them and
// of the promised ones in every order in which they can be made: who asks does not know that order, and each is placed
// by what the ones before it left (see fitsInAnyOrder for the limit of the search, past which the answer is no).
// Nothing is allocated when only volumes without legs are concerned and they fit.
// Errors: *Shortage, ErrInvalidSize, ErrInvalidLayout, ErrNotFound (thin pool).
func (s *Space) Check(requests []Request) error {
	var wanted int64
	legs, thin := s.promisedLegs, false
	for i := range requests {
		t, err := requests[i].take(s.ExtentSizeBytes)
		if err != nil {
			return err
		}
		wanted = SaturatingAdd(wanted, t.bytes(s.ExtentSizeBytes))
		legs = legs || t.legs > 0
		thin = thin || requests[i].Layout.Type == LayoutThin
	}
	if thin {
		if err := s.checkThinPools(requests); err != nil {
			return err
		}
	}
	if wanted == 0 {
		return nil
	}
	free := s.FreeBytes()
	if wanted > free {
		return &Shortage{WantedBytes: wanted, FreeBytes: free}
	}
	if legs && !s.fitsInAnyOrder(requests) {
		return &Shortage{WantedBytes: wanted, FreeBytes: free, Legs: true}
	}
	return nil
}

// Fit promises volumes if Check lets them in, all or none, and returns what is left.
// Errors: those of Check.
func (s *Space) Fit(requests []Request) (*Space, error) {
	if err := s.Check(requests); err != nil {
		return s, err
	}
	return s.Promise(requests), nil
}

// Promise counts volumes that will be made, whether they fit or not, and returns what is left.
func (s *Space) Promise(requests []Request) *Space {
	left := *s
	left.promised = append(s.promised[:len(s.promised):len(s.promised)], requests...)
	left.promisedBytes = SaturatingAdd(s.promisedBytes, s.TakenBytes(requests...))
	for i := range requests {
		left.promisedLegs = left.promisedLegs || requests[i].Layout.Legs() > 0
	}
	return &left
}
