package imc

// A Transport makes endpoints. All transports behave alike; they differ in what
// they cost and in who can be given an end.
type Transport interface {
	// Endpoints makes a pair: connections through the second arrive at the first.
	Endpoints() (*AcceptEndpoint, *ConnectEndpoint, error)
	// ConnectedPair makes two ends of a connection that no connect made.
	ConnectedPair() (a, b *ConnectedSocket, err error)
	// DataPair makes two ends for messages of data.
	DataPair() (a, b *DataSocket, err error)

	String() string
}

var (
	// Memory makes endpoints in this process. It takes no descriptors of the kernel
	// and never fails.
	Memory Transport = memoryTransport{}
	// Kernel makes endpoints that are Unix sockets from the start: either end, also an
	// AcceptEndpoint, can be given to a child process as a file.
	Kernel Transport = kernelTransport{}
)

type memoryTransport struct{}

func (memoryTransport) String() string { return "memory" }

func (memoryTransport) Endpoints() (*AcceptEndpoint, *ConnectEndpoint, error) {
	a, c := newMemoryEndpoints()
	return a, c, nil
}

func (memoryTransport) ConnectedPair() (a, b *ConnectedSocket, err error) {
	p := newPair(KindConnectedSocket)
	return newSocket(&p.ends[0]).(*ConnectedSocket), newSocket(&p.ends[1]).(*ConnectedSocket), nil
}

func (memoryTransport) DataPair() (a, b *DataSocket, err error) {
	p := newPair(KindDataSocket)
	return newSocket(&p.ends[0]).(*DataSocket), newSocket(&p.ends[1]).(*DataSocket), nil
}

type kernelTransport struct{}

func (kernelTransport) String() string { return "kernel" }

func (kernelTransport) Endpoints() (*AcceptEndpoint, *ConnectEndpoint, error) {
	return newKernelEndpoints()
}

func (kernelTransport) ConnectedPair() (a, b *ConnectedSocket, err error) {
	x, y, err := socketPair("make a pair", KindConnectedSocket)
	if err != nil {
		return nil, nil, err
	}
	return newKernelSocket(newKfd(x), KindConnectedSocket).(*ConnectedSocket), newKernelSocket(newKfd(y), KindConnectedSocket).(*ConnectedSocket), nil
}

func (kernelTransport) DataPair() (a, b *DataSocket, err error) {
	x, y, err := socketPair("make a pair", KindDataSocket)
	if err != nil {
		return nil, nil, err
	}
	return newKernelSocket(newKfd(x), KindDataSocket).(*DataSocket), newKernelSocket(newKfd(y), KindDataSocket).(*DataSocket), nil
}

// NewEndpoints makes a pair in memory: connections through the second arrive at the
// first.
func NewEndpoints() (*AcceptEndpoint, *ConnectEndpoint) { return newMemoryEndpoints() }

// NewDataPair makes two data sockets in memory.
func NewDataPair() (a, b *DataSocket) {
	a, b, _ = Memory.DataPair()
	return a, b
}
