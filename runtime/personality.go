package runtime

// A Personality gives the calls that arrive on the linux slot their meaning.
// All methods run on the goroutine of the thread they are given, outside the
// guest.
type Personality interface {
	// Syscall serves one call and returns its result, -errno for an error.
	// Restart and RestartUnlessHandled are results too: see there.
	Syscall(t *Thread, nr uint64, a [6]uint64) int64

	// Attention is called before the guest goes on when Thread.Kick was
	// called since the last time. It may push handlers.
	Attention(t *Thread)

	// Fault is told of a fault of the guest. True means that the thread
	// goes on (a handler was pushed); false ends the domain with f, unless
	// Fault ended it in its own way.
	Fault(t *Thread, f *FaultError) bool

	// HandlerReturn is called when a handler has returned and the state it
	// interrupted is in place again. tag is what PushHandler was given.
	HandlerReturn(t *Thread, tag any)

	// ThreadEnd is called once when a thread is about to go, while its
	// memory can still be written.
	ThreadEnd(t *Thread)
}

// Results of Personality.Syscall for a call that was cut short because the
// thread has something else to attend to. The call is made again from the
// start, with the same arguments, unless a handler was pushed in between.
const (
	// Restart: if a handler was pushed with Handler.Restart the call is
	// repeated after it returns; with another handler the result is -EINTR.
	Restart int64 = -512
	// RestartUnlessHandled: the result is -EINTR if any handler was pushed.
	RestartUnlessHandled int64 = -514
)

const errIntr = 4

// NoPersonality refuses every call and lets every fault end the domain. It is
// what a domain has that was given none; embed it to implement only some
// methods.
type NoPersonality struct{}

// Syscall returns -ENOSYS.
func (NoPersonality) Syscall(*Thread, uint64, [6]uint64) int64 { return -errNoSys }

// Attention does nothing.
func (NoPersonality) Attention(*Thread) {}

// Fault returns false.
func (NoPersonality) Fault(*Thread, *FaultError) bool { return false }

// HandlerReturn does nothing.
func (NoPersonality) HandlerReturn(*Thread, any) {}

// ThreadEnd does nothing.
func (NoPersonality) ThreadEnd(*Thread) {}
