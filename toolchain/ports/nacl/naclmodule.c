/* The Python module nacl: what only Native Client's calls give a program, as <nacl.h>
 * has it for C. Descriptors are ints, as in the module os; who gets one closes it.
 * Failures are OSError. */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <nacl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Calls something without the interpreter's lock, again and again while signals
 * that Python's handlers have dealt with cut it short. */
#define WAIT(r, call)                                   \
	do {                                            \
		Py_BEGIN_ALLOW_THREADS r = (call);      \
		Py_END_ALLOW_THREADS                    \
	} while (r < 0 && errno == EINTR && !PyErr_CheckSignals())

static PyObject *failed(void)
{
	return PyErr_Occurred() ? NULL : PyErr_SetFromErrno(PyExc_OSError);
}

/* A message that goes out: bytes of any kind, and a sequence of descriptors. */
struct outgoing {
	Py_buffer data;
	int *descs;
	Py_ssize_t desc_count;
};

static int outgoing(struct outgoing *o, PyObject *data, PyObject *descs)
{
	memset(o, 0, sizeof *o);
	if (data && data != Py_None && PyObject_GetBuffer(data, &o->data, PyBUF_SIMPLE) < 0) return -1;
	if (!descs || descs == Py_None) return 0;

	PyObject *list = PySequence_List(descs);
	if (!list) goto fail;
	o->desc_count = PyList_Size(list);
	if (o->desc_count && !(o->descs = malloc(o->desc_count * sizeof *o->descs))) {
		PyErr_NoMemory();
		goto fail;
	}
	for (Py_ssize_t i = 0; i < o->desc_count; i++) {
		long fd = PyLong_AsLong(PyList_GetItem(list, i));
		if (fd == -1 && PyErr_Occurred()) goto fail;
		if (fd != (int)fd) {
			PyErr_SetString(PyExc_OverflowError, "a descriptor is an int of C");
			goto fail;
		}
		o->descs[i] = fd;
	}
	Py_DECREF(list);
	return 0;
fail:
	Py_XDECREF(list);
	free(o->descs);
	if (o->data.obj) PyBuffer_Release(&o->data);
	return -1;
}

static void outgoing_done(struct outgoing *o)
{
	free(o->descs);
	if (o->data.obj) PyBuffer_Release(&o->data);
}

/* The header of one; iov is its vector. */
static struct nacl_imc_msghdr header(struct outgoing *o, struct nacl_imc_iovec *iov)
{
	iov->base = NACL_POINTER(o->data.buf), iov->length = o->data.len;
	return (struct nacl_imc_msghdr){
		.iov = NACL_POINTER(iov), .iov_length = o->data.len > 0,
		.descv = NACL_POINTER(o->descs), .desc_length = o->desc_count,
	};
}

/* Room for one that comes in. */
struct incoming {
	PyObject *data;
	struct nacl_imc_iovec iov;
	int *descs;
	struct nacl_imc_msghdr header;
};

static int incoming(struct incoming *in, Py_ssize_t size, Py_ssize_t descs)
{
	memset(in, 0, sizeof *in);
	if (size < 0 || size > INT32_MAX) {
		PyErr_SetString(PyExc_ValueError, "the size of a message is from 0 to 2147483647");
		return -1;
	}
	if (!(in->data = PyBytes_FromStringAndSize(NULL, size))) return -1;
	if (!(in->descs = malloc(descs * sizeof *in->descs))) {
		Py_DECREF(in->data);
		PyErr_NoMemory();
		return -1;
	}
	in->iov = (struct nacl_imc_iovec){NACL_POINTER(PyBytes_AsString(in->data)), size};
	in->header = (struct nacl_imc_msghdr){
		.iov = NACL_POINTER(&in->iov), .iov_length = size > 0,
		.descv = NACL_POINTER(in->descs), .desc_length = descs,
	};
	return 0;
}

static PyObject *descriptors(const int *descs, size_t n)
{
	PyObject *list = PyList_New(n);
	for (size_t i = 0; list && i < n; i++) {
		PyObject *fd = PyLong_FromLong(descs[i]);
		if (!fd || PyList_SetItem(list, i, fd) < 0) Py_CLEAR(list);
	}
	return list;
}

/* (data, descriptors, flags), or the exception; n is what the call returned. */
static PyObject *received(struct incoming *in, int n)
{
	PyObject *result = NULL;
	if (n < 0) {
		failed();
	} else {
		PyObject *list = descriptors(in->descs, in->header.desc_length);
		PyObject *data = PyBytes_FromStringAndSize(PyBytes_AsString(in->data), n);
		if (list && data) result = Py_BuildValue("(OOi)", data, list, in->header.flags);
		for (uint32_t i = 0; !result && i < in->header.desc_length; i++)
			if (in->descs[i] >= 0) close(in->descs[i]);
		Py_XDECREF(list);
		Py_XDECREF(data);
	}
	Py_DECREF(in->data);
	free(in->descs);
	return result;
}

static PyObject *pair(int r, const int fds[2])
{
	return r < 0 ? failed() : Py_BuildValue("(ii)", fds[0], fds[1]);
}

static PyObject *number(int r)
{
	return r < 0 ? failed() : PyLong_FromLong(r);
}

static PyObject *nothing(int r)
{
	if (r < 0) return failed();
	Py_RETURN_NONE;
}

PyDoc_STRVAR(makeboundsock_doc, "makeboundsock() -> (bound, address)\n\n\
A new address: connections are accepted on the one descriptor and made with the other,\n\
which can be sent to those who are to be able to.");

static PyObject *makeboundsock(PyObject *self, PyObject *none)
{
	int fds[2];
	return pair(nacl_imc_makeboundsock(fds), fds);
}

PyDoc_STRVAR(socketpair_doc, "socketpair() -> (a, b)\n\nTwo ends of a socket for data alone, which can be sent.");

static PyObject *datapair(PyObject *self, PyObject *none)
{
	int fds[2];
	return pair(nacl_imc_socketpair(fds), fds);
}

PyDoc_STRVAR(accept_doc, "accept(bound) -> descriptor\n\nWaits for a connection. OSError EIO: nobody can connect any more.");

static PyObject *accept_connection(PyObject *self, PyObject *args)
{
	int fd, r;
	if (!PyArg_ParseTuple(args, "i", &fd)) return NULL;
	WAIT(r, nacl_imc_accept(fd));
	return number(r);
}

PyDoc_STRVAR(connect_doc, "connect(address, wait=False) -> descriptor\n\n\
Connects. With wait it returns when the connection is accepted; a refusal is then an error of connect.");

static PyObject *connect_to(PyObject *self, PyObject *args, PyObject *names)
{
	static char *known[] = {"address", "wait", NULL};
	int fd, wait = 0, r;
	if (!PyArg_ParseTupleAndKeywords(args, names, "i|p", known, &fd, &wait)) return NULL;
	WAIT(r, wait ? nacl_imc_connect_wait(fd, 0) : nacl_imc_connect(fd));
	return number(r);
}

PyDoc_STRVAR(send_doc, "send(fd, data=b'', descs=(), flags=0) -> number of bytes\n\n\
Sends one message of up to 131072 bytes and 8 descriptors, which stay the sender's too. NONBLOCK: BlockingIOError instead of waiting.");

static PyObject *send_message(PyObject *self, PyObject *args, PyObject *names)
{
	static char *known[] = {"fd", "data", "descs", "flags", NULL};
	PyObject *data = NULL, *descs = NULL;
	int fd, flags = 0, r;
	struct outgoing o;
	if (!PyArg_ParseTupleAndKeywords(args, names, "i|OOi", known, &fd, &data, &descs, &flags)) return NULL;
	if (outgoing(&o, data, descs) < 0) return NULL;
	struct nacl_imc_iovec iov;
	struct nacl_imc_msghdr h = header(&o, &iov);
	WAIT(r, nacl_imc_sendmsg(fd, &h, flags));
	PyObject *result = number(r);
	outgoing_done(&o);
	return result;
}

PyDoc_STRVAR(receive_doc, "receive(fd, size=131072, flags=0) -> (data, descriptors, flags)\n\n\
Receives one message; what is longer than size is dropped. OSError EIO: the other end is closed. In the flags\n\
that are returned, DESC_TRUNCATED says that there was no room for descriptors, which were closed.");

static PyObject *receive(PyObject *self, PyObject *args, PyObject *names)
{
	static char *known[] = {"fd", "size", "flags", NULL};
	Py_ssize_t size = NACL_IMC_BYTES_MAX;
	int fd, flags = 0, r;
	struct incoming in;
	if (!PyArg_ParseTupleAndKeywords(args, names, "i|ni", known, &fd, &size, &flags)) return NULL;
	if (incoming(&in, size, NACL_IMC_DESC_MAX) < 0) return NULL;
	WAIT(r, nacl_imc_recvmsg(fd, &in.header, flags));
	return received(&in, r);
}

PyDoc_STRVAR(memory_doc, "mem_obj_create(size) -> descriptor\n\nShared memory, to be sent and to be mapped with mmap.mmap; size is a multiple of 65536.");

static PyObject *memory(PyObject *self, PyObject *args)
{
	Py_ssize_t size;
	if (!PyArg_ParseTuple(args, "n", &size)) return NULL;
	if (size < 0) {
		PyErr_SetString(PyExc_ValueError, "a size is not negative");
		return NULL;
	}
	return number(nacl_imc_mem_obj_create(size));
}

PyDoc_STRVAR(call_doc, "call(address, data=b'', descs=(), size=65536) -> (data, descriptors, flags)\n\n\
Calls the object behind an address and waits for its answer, of which size bytes and 8 descriptors are kept: flags\n\
say what was dropped. A failure of the object is an OSError. A signal ends the call (InterruptedError); whether the object\n\
has done its work is not known then.");

static PyObject *call(PyObject *self, PyObject *args, PyObject *names)
{
	static char *known[] = {"address", "data", "descs", "size", NULL};
	PyObject *data = NULL, *descs = NULL;
	Py_ssize_t size = 65536;
	int fd, r;
	struct outgoing o;
	struct incoming in;
	if (!PyArg_ParseTupleAndKeywords(args, names, "i|OOn", known, &fd, &data, &descs, &size)) return NULL;
	if (outgoing(&o, data, descs) < 0) return NULL;
	if (incoming(&in, size, NACL_IMC_DESC_MAX) < 0) {
		outgoing_done(&o);
		return NULL;
	}
	struct nacl_imc_iovec iov;
	struct nacl_imc_msghdr h = header(&o, &iov);
	Py_BEGIN_ALLOW_THREADS
	r = nacl_imc_call(fd, &h, &in.header);
	Py_END_ALLOW_THREADS
	int error = errno;
	if (r < 0 && error == EINTR) PyErr_CheckSignals();
	outgoing_done(&o);
	errno = error;
	return received(&in, r);
}

/* Takes an answer of a handler: bytes, or bytes and descriptors, or None. */
static int answer(PyObject *value, struct nacl_imc_message *reply)
{
	PyObject *data = value, *descs = NULL;
	struct outgoing o;
	if (PyTuple_Check(value) && !PyArg_ParseTuple(value, "O|O;an answer is bytes, or bytes and descriptors", &data, &descs)) return -1;
	if (outgoing(&o, data, descs) < 0) return -1;
	int r = 0;
	if (o.data.len && !(reply->data = malloc(o.data.len))) {
		PyErr_NoMemory();
		r = -1;
	} else {
		if (o.data.len) memcpy(reply->data, o.data.buf, o.data.len);
		reply->size = o.data.len;
		reply->descs = o.descs, reply->desc_count = o.desc_count;
		o.descs = NULL;
	}
	outgoing_done(&o);
	return r;
}

static int serve_one(void *handler, const struct nacl_imc_message *request, struct nacl_imc_message *reply)
{
	PyGILState_STATE state = PyGILState_Ensure();
	int error = EIO;
	PyObject *value = NULL, *list = descriptors(request->descs, request->desc_count);
	if (list) value = PyObject_CallFunction(handler, "y#O", request->data ? request->data : "", (Py_ssize_t)request->size, list);
	/* They are the handler's, which closes them. */
	for (size_t i = 0; list && i < request->desc_count; i++) request->descs[i] = -1;
	if (value && !answer(value, reply)) {
		error = 0;
	} else if (PyErr_Occurred()) {
		PyObject *type, *exception, *trace;
		PyErr_Fetch(&type, &exception, &trace);
		PyErr_NormalizeException(&type, &exception, &trace);
		/* What the caller is to get is an OSError with a number; the rest is for who runs the server. */
		if (PyErr_GivenExceptionMatches(type, PyExc_OSError)) {
			PyObject *no = PyObject_GetAttrString(exception, "errno");
			long v = no && PyLong_Check(no) ? PyLong_AsLong(no) : -1;
			if (v > 0 && v < 4096) error = v;
			Py_XDECREF(no);
			PyErr_Clear();
			Py_XDECREF(type), Py_XDECREF(exception), Py_XDECREF(trace);
		} else {
			PyErr_Restore(type, exception, trace);
			PyErr_WriteUnraisable(handler);
		}
	}
	Py_XDECREF(value);
	Py_XDECREF(list);
	PyGILState_Release(state);
	return error;
}

PyDoc_STRVAR(serve_doc, "serve(bound, handler)\n\n\
Answers calls, one after another, until nobody can connect any more. handler(data, descriptors) returns the\n\
answer: bytes, or a pair of bytes and descriptors, which are closed when they have been sent. The descriptors that it is\n\
given are its own. An OSError that it raises is the caller's; any other exception is printed, and EIO for the caller.");

static PyObject *serve(PyObject *self, PyObject *args)
{
	PyObject *handler;
	int fd, r;
	if (!PyArg_ParseTuple(args, "iO", &fd, &handler)) return NULL;
	if (!PyCallable_Check(handler)) {
		PyErr_SetString(PyExc_TypeError, "the handler is not callable");
		return NULL;
	}
	WAIT(r, nacl_imc_serve(fd, serve_one, handler));
	return nothing(r);
}

PyDoc_STRVAR(wait_doc, "return_and_wait(data=b'', descs=(), size=131072) -> (data, descriptors, flags)\n\n\
\"This is the answer; wait for the next question\": gives the host that invoked the program the result, and returns\n\
with the message of its next invocation. OSError ENOSYS: the host does not invoke this program.");

static PyObject *return_and_wait(PyObject *self, PyObject *args, PyObject *names)
{
	static char *known[] = {"data", "descs", "size", NULL};
	PyObject *data = NULL, *descs = NULL;
	Py_ssize_t size = NACL_IMC_BYTES_MAX;
	int r;
	struct outgoing o;
	struct incoming in;
	if (!PyArg_ParseTupleAndKeywords(args, names, "|OOn", known, &data, &descs, &size)) return NULL;
	if (outgoing(&o, data, descs) < 0) return NULL;
	if (incoming(&in, size, NACL_IMC_DESC_MAX) < 0) {
		outgoing_done(&o);
		return NULL;
	}
	struct nacl_imc_iovec iov;
	struct nacl_imc_msghdr h = header(&o, &iov);
	Py_BEGIN_ALLOW_THREADS
	r = nacl_return_and_wait(&h, &in.header);
	Py_END_ALLOW_THREADS
	int error = errno;
	outgoing_done(&o);
	errno = error;
	return received(&in, r);
}

PyDoc_STRVAR(region_doc, "dyncode_region() -> (start, end)\n\nThe addresses at which there can be code that is made at run time.");

static PyObject *region(PyObject *self, PyObject *none)
{
	int start, end;
	if (nacl_sysconf(0x100, &start) < 0 || nacl_sysconf(0x101, &end) < 0) return failed();
	return Py_BuildValue("(II)", (unsigned)start, (unsigned)end);
}

/* An address in the sandbox. */
static int address(unsigned long long v, void **p)
{
	if (v > UINT32_MAX) {
		PyErr_SetString(PyExc_OverflowError, "an address has 32 bits");
		return -1;
	}
	*p = (void *)(uintptr_t)v;
	return 0;
}

static PyObject *put_code(PyObject *args, int (*put)(void *, const void *, size_t))
{
	unsigned long long at;
	Py_buffer code;
	void *p;
	int r;
	if (!PyArg_ParseTuple(args, "Ky*", &at, &code)) return NULL;
	if (address(at, &p) < 0) {
		PyBuffer_Release(&code);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS
	r = put(p, code.buf, code.len);
	Py_END_ALLOW_THREADS
	PyObject *result = nothing(r);
	PyBuffer_Release(&code);
	return result;
}

PyDoc_STRVAR(create_doc, "dyncode_create(address, code)\n\nPuts validated code where none is: whole bundles of 32 bytes. OSError EINVAL: it is not valid there.");

static PyObject *create(PyObject *self, PyObject *args)
{
	return put_code(args, nacl_dyncode_create);
}

PyDoc_STRVAR(modify_doc, "dyncode_modify(address, code)\n\nChanges constants in code that is there.");

static PyObject *modify(PyObject *self, PyObject *args)
{
	return put_code(args, nacl_dyncode_modify);
}

PyDoc_STRVAR(delete_doc, "dyncode_delete(address, size)\n\nTakes code away. BlockingIOError: a thread is in it still; call again.");

static PyObject *delete(PyObject *self, PyObject *args)
{
	unsigned long long at;
	Py_ssize_t size;
	void *p;
	int r;
	if (!PyArg_ParseTuple(args, "Kn", &at, &size) || address(at, &p) < 0) return NULL;
	Py_BEGIN_ALLOW_THREADS
	r = nacl_dyncode_delete(p, size);
	Py_END_ALLOW_THREADS
	return nothing(r);
}

static PyMethodDef functions[] = {
	{"makeboundsock", makeboundsock, METH_NOARGS, makeboundsock_doc},
	{"socketpair", datapair, METH_NOARGS, socketpair_doc},
	{"accept", accept_connection, METH_VARARGS, accept_doc},
	{"connect", (PyCFunction)(void *)connect_to, METH_VARARGS | METH_KEYWORDS, connect_doc},
	{"send", (PyCFunction)(void *)send_message, METH_VARARGS | METH_KEYWORDS, send_doc},
	{"receive", (PyCFunction)(void *)receive, METH_VARARGS | METH_KEYWORDS, receive_doc},
	{"mem_obj_create", memory, METH_VARARGS, memory_doc},
	{"call", (PyCFunction)(void *)call, METH_VARARGS | METH_KEYWORDS, call_doc},
	{"serve", serve, METH_VARARGS, serve_doc},
	{"return_and_wait", (PyCFunction)(void *)return_and_wait, METH_VARARGS | METH_KEYWORDS, wait_doc},
	{"dyncode_region", region, METH_NOARGS, region_doc},
	{"dyncode_create", create, METH_VARARGS, create_doc},
	{"dyncode_modify", modify, METH_VARARGS, modify_doc},
	{"dyncode_delete", delete, METH_VARARGS, delete_doc},
	{NULL, NULL, 0, NULL},
};

static int prepare(PyObject *module)
{
	if (PyModule_AddIntConstant(module, "NONBLOCK", NACL_IMC_NONBLOCK) < 0 ||
	    PyModule_AddIntConstant(module, "DATA_TRUNCATED", NACL_IMC_DATA_TRUNCATED) < 0 ||
	    PyModule_AddIntConstant(module, "DESC_TRUNCATED", NACL_IMC_DESC_TRUNCATED) < 0 ||
	    PyModule_AddIntConstant(module, "NO_DESC", NACL_IMC_NO_DESC) < 0)
		return -1;
	return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, prepare}, {0, NULL}};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, .m_name = "nacl",
	.m_doc = "Capability sockets between sandboxes (IMC), invocation by the host, and code at run time.",
	.m_methods = functions, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_nacl(void)
{
	return PyModuleDef_Init(&definition);
}
