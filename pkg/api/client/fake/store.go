package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

type object interface {
	runtime.Object
	metav1.Object
}

// store holds one resource's objects and serves client.Resource.
type store[T object, L runtime.Object] struct {
	*shared
	resource   schema.GroupResource
	newObject  func() T
	copyStatus func(from, to T)
	sameSpec   func(a, b T) bool
	newList    func(version string, items []T) L
	field      func(field string, object T) (string, bool)

	objects  map[string]T
	history  []change[T]
	watchers map[*watcher[T]]struct{}
}

// change is one event with the object before and after; before is nil for an addition, after for a deletion.
type change[T object] struct {
	version       int64
	before, after T
	added, gone   bool
}

func newStore[T object, L runtime.Object](s *shared, resource schema.GroupResource, newObject func() T, copyStatus func(from, to T),
	sameSpec func(a, b T) bool, newList func(string, []T) L, field func(string, T) (string, bool),
) *store[T, L] {
	return &store[T, L]{
		shared: s, resource: resource, newObject: newObject, copyStatus: copyStatus, sameSpec: sameSpec, newList: newList, field: field,
		objects: map[string]T{}, watchers: map[*watcher[T]]struct{}{},
	}
}

// begin records the request, asks the hook and takes the lock; the caller unlocks when the error is nil.
func (s *store[T, L]) begin(ctx context.Context, verb, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	action := Action{verb, s.resource.Resource, name}
	s.mu.Lock()
	s.actions = append(s.actions, action)
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		if err := hook(action); err != nil {
			return err
		}
	}
	s.mu.Lock()
	return nil
}

// IsWatchListSemanticsUnSupported tells client-go's reflectors to list and then watch.
func (s *store[T, L]) IsWatchListSemanticsUnSupported() bool { return true }

func copyOf[T object](o T) T { return o.DeepCopyObject().(T) }

// Create stores a new object without its status.
func (s *store[T, L]) Create(ctx context.Context, o T, _ metav1.CreateOptions) (T, error) {
	var none T
	if err := s.begin(ctx, "create", o.GetName()); err != nil {
		return none, err
	}
	defer s.mu.Unlock()
	if _, ok := s.objects[o.GetName()]; ok {
		return none, apierrors.NewAlreadyExists(s.resource, o.GetName())
	}
	stored := copyOf(o)
	s.copyStatus(s.newObject(), stored)
	stored.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", s.version+1)))
	stored.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	stored.SetGeneration(1)
	return s.put(stored, none, true), nil
}

// Update writes all but the status.
func (s *store[T, L]) Update(ctx context.Context, o T, _ metav1.UpdateOptions) (T, error) {
	if err := s.begin(ctx, "update", o.GetName()); err != nil {
		var none T
		return none, err
	}
	defer s.mu.Unlock()
	return s.replace(o, false)
}

// UpdateStatus writes the status only.
func (s *store[T, L]) UpdateStatus(ctx context.Context, o T, _ metav1.UpdateOptions) (T, error) {
	if err := s.begin(ctx, "update-status", o.GetName()); err != nil {
		var none T
		return none, err
	}
	defer s.mu.Unlock()
	return s.replace(o, true)
}

// Delete removes an object at once; Berth's objects carry no finalizers.
func (s *store[T, L]) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	if err := s.begin(ctx, "delete", name); err != nil {
		return err
	}
	defer s.mu.Unlock()
	before, ok := s.objects[name]
	if !ok {
		return apierrors.NewNotFound(s.resource, name)
	}
	if p := options.Preconditions; p != nil {
		if p.UID != nil && *p.UID != before.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != before.GetResourceVersion() {
			return s.conflict(name)
		}
	}
	s.version++
	gone := copyOf(before)
	gone.SetResourceVersion(strconv.FormatInt(s.version, 10))
	delete(s.objects, name)
	s.publish(change[T]{version: s.version, before: before, after: gone, gone: true})
	return nil
}

// Get returns a copy of an object.
func (s *store[T, L]) Get(ctx context.Context, name string, _ metav1.GetOptions) (T, error) {
	var none T
	if err := s.begin(ctx, "get", name); err != nil {
		return none, err
	}
	defer s.mu.Unlock()
	stored, ok := s.objects[name]
	if !ok {
		return none, apierrors.NewNotFound(s.resource, name)
	}
	return copyOf(stored), nil
}

// List returns copies of the selected objects by name; it knows field selectors only.
func (s *store[T, L]) List(ctx context.Context, options metav1.ListOptions) (L, error) {
	var none L
	selector, err := fields.ParseSelector(options.FieldSelector)
	if err != nil {
		return none, apierrors.NewBadRequest(err.Error())
	}
	if err := s.begin(ctx, "list", ""); err != nil {
		return none, err
	}
	defer s.mu.Unlock()
	var items []T
	for _, o := range s.objects {
		if s.selects(selector, o) {
			items = append(items, copyOf(o))
		}
	}
	slices.SortFunc(items, func(a, b T) int {
		if a.GetName() < b.GetName() {
			return -1
		}
		return 1
	})
	return s.newList(strconv.FormatInt(s.version, 10), items), nil
}

// Patch knows merge patches of an object or its status.
func (s *store[T, L]) Patch(ctx context.Context, name string, patchType types.PatchType, data []byte, _ metav1.PatchOptions, subresources ...string) (T, error) {
	var none T
	if patchType != types.MergePatchType {
		return none, apierrors.NewBadRequest(fmt.Sprintf("the fake knows merge patches only, not %s", patchType))
	}
	if err := s.begin(ctx, "patch", name); err != nil {
		return none, err
	}
	defer s.mu.Unlock()
	stored, ok := s.objects[name]
	if !ok {
		return none, apierrors.NewNotFound(s.resource, name)
	}
	patched, err := s.merge(stored, data)
	if err != nil {
		return none, apierrors.NewBadRequest(err.Error())
	}
	return s.replace(patched, slices.Equal(subresources, []string{"status"}))
}

func (s *store[T, L]) merge(stored T, patch []byte) (T, error) {
	var none T
	before, err := json.Marshal(stored)
	if err != nil {
		return none, err
	}
	original, err := decode(before)
	if err != nil {
		return none, err
	}
	change, err := decode(patch)
	if err != nil {
		return none, err
	}
	after, err := json.Marshal(mergeMaps(original, change))
	if err != nil {
		return none, err
	}
	patched := s.newObject()
	return patched, json.Unmarshal(after, patched)
}

// decode keeps numbers as they are written: sizes are int64 and do not pass through float64.
func decode(data []byte) (map[string]any, error) {
	var m map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err := decoder.Decode(&m)
	return m, err
}

// replace is Update or UpdateStatus; the caller holds mu.
func (s *store[T, L]) replace(o T, status bool) (T, error) {
	var none T
	before, ok := s.objects[o.GetName()]
	if !ok {
		return none, apierrors.NewNotFound(s.resource, o.GetName())
	}
	if v := o.GetResourceVersion(); v != "" && v != before.GetResourceVersion() {
		return none, s.conflict(o.GetName())
	}
	if uid := o.GetUID(); uid != "" && uid != before.GetUID() {
		return none, s.conflict(o.GetName())
	}
	after := copyOf(o)
	if status {
		after = copyOf(before)
		s.copyStatus(o, after)
	} else {
		s.copyStatus(before, after)
		after.SetUID(before.GetUID())
		after.SetCreationTimestamp(before.GetCreationTimestamp())
		after.SetGeneration(before.GetGeneration())
		if !s.sameSpec(before, after) {
			after.SetGeneration(before.GetGeneration() + 1)
		}
	}
	return s.put(after, before, false), nil
}

// put stores an object under a new resourceVersion; the caller holds mu.
func (s *store[T, L]) put(after, before T, added bool) T {
	s.version++
	after.SetResourceVersion(strconv.FormatInt(s.version, 10))
	s.objects[after.GetName()] = after
	s.publish(change[T]{version: s.version, before: before, after: after, added: added})
	return copyOf(after)
}

func (s *store[T, L]) conflict(name string) error {
	return apierrors.NewConflict(s.resource, name, fmt.Errorf("the object has been modified"))
}

func (s *store[T, L]) selects(selector fields.Selector, o T) bool {
	set := fields.Set{"metadata.name": o.GetName()}
	for _, r := range selector.Requirements() {
		if value, ok := s.field(r.Field, o); ok {
			set[r.Field] = value
		}
	}
	return selector.Matches(set)
}
