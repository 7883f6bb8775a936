//go:build race

package capacity

func init() { shortPlacements /= 8 }
