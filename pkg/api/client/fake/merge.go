package fake

// mergeMaps applies a JSON merge patch (RFC 7386) to an object.
func mergeMaps(target, patch map[string]any) map[string]any {
	if target == nil {
		target = map[string]any{}
	}
	for key, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(target, key)
		case map[string]any:
			inner, _ := target[key].(map[string]any)
			target[key] = mergeMaps(inner, value)
		default:
			target[key] = value
		}
	}
	return target
}
