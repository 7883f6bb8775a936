package fake

import (
	"context"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// watcher is one watch. Its queue has no bound, so that a slow reader holds up nobody who writes.
type watcher[T object] struct {
	selector fields.Selector
	queue    []watch.Event
	// wake holds one token when the queue is not empty.
	wake   chan struct{}
	result chan watch.Event
	stop   context.CancelFunc
}

// Stop ends the watch and closes its channel soon after.
func (w *watcher[T]) Stop() { w.stop() }

// ResultChan gives the events in order.
func (w *watcher[T]) ResultChan() <-chan watch.Event { return w.result }

// Watch gives all changes after options.ResourceVersion; none means from now on.
func (s *store[T, L]) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	selector, err := fields.ParseSelector(options.FieldSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err := s.begin(ctx, "watch", ""); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	since := s.version
	if options.ResourceVersion != "" {
		if since, err = strconv.ParseInt(options.ResourceVersion, 10, 64); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	ctx, stop := context.WithCancel(ctx)
	w := &watcher[T]{selector: selector, wake: make(chan struct{}, 1), result: make(chan watch.Event), stop: stop}
	for _, c := range s.history {
		if c.version > since {
			s.offer(w, c)
		}
	}
	s.watchers[w] = struct{}{}
	go s.serve(ctx, w)
	return w, nil
}

// serve hands queued events to the reader until the watch is stopped.
func (s *store[T, L]) serve(ctx context.Context, w *watcher[T]) {
	defer close(w.result)
	defer s.forget(w)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		for _, event := range s.drain(w) {
			select {
			case <-ctx.Done():
				return
			case w.result <- event:
			}
		}
	}
}

func (s *store[T, L]) drain(w *watcher[T]) []watch.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := w.queue
	w.queue = nil
	return events
}

func (s *store[T, L]) forget(w *watcher[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watchers, w)
}

// publish records a change and offers it to all watches; the caller holds mu.
func (s *store[T, L]) publish(c change[T]) {
	s.history = append(s.history, c)
	for w := range s.watchers {
		s.offer(w, c)
	}
}

// offer queues what a change means under the watch's selector; the caller holds mu.
func (s *store[T, L]) offer(w *watcher[T], c change[T]) {
	before := !c.added && s.selects(w.selector, c.before)
	after := !c.gone && s.selects(w.selector, c.after)
	event := watch.Event{Object: copyOf(c.after)}
	switch {
	case !before && after:
		event.Type = watch.Added
	case before && after:
		event.Type = watch.Modified
	case before:
		event.Type = watch.Deleted
	default:
		return
	}
	w.queue = append(w.queue, event)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
