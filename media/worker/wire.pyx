"""What `wire.py` does, by calls of the C library."""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t


cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_receive "recv"(int descriptor, void *buffer, size_t size, int flags)
    ssize_t c_send "send"(int descriptor, const void *buffer, size_t size, int flags)


cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        epoll_data_t data
    int epoll_wait(int epoll, epoll_event *events, int most, int milliseconds)


cdef enum:
    MOST = 256

LARGEST_PACKET = 2048
MOST_READY = MOST
packet = bytearray(LARGEST_PACKET)
view = memoryview(packet)  # which also keeps `packet` from being moved

cdef uint8_t *octets = <uint8_t *> PyByteArray_AS_STRING(packet)
cdef size_t room = LARGEST_PACKET
cdef epoll_event events[MOST]


cpdef int wait(object epoll, int milliseconds) except -1:
    cdef int descriptor = epoll.fileno()
    cdef int found
    with nogil:
        found = epoll_wait(descriptor, events, MOST, milliseconds)
    if found >= 0:
        return found
    if errno != EINTR:
        PyErr_SetFromErrno(OSError)
    PyErr_CheckSignals()
    return 0


cpdef int ready(int place) noexcept:
    return events[place].data.fd


cpdef int receive(int descriptor) noexcept:
    cdef ssize_t size = c_receive(descriptor, octets, room, 0)
    while size < 0 and errno == EINTR:
        size = c_receive(descriptor, octets, room, 0)
    return <int> size


cpdef bint send(int descriptor, int size) noexcept:
    cdef ssize_t sent = c_send(descriptor, octets, size, 0)
    while sent < 0 and errno == EINTR:
        sent = c_send(descriptor, octets, size, 0)
    return sent >= 0


cpdef (int, int, int, long, long) read_header() noexcept:
    return (
        octets[0],
        octets[1],
        octets[2] << 8 | octets[3],
        <long> octets[4] << 24 | octets[5] << 16 | octets[6] << 8 | octets[7],
        <long> octets[8] << 24 | octets[9] << 16 | octets[10] << 8 | octets[11],
    )


cpdef void write_header(int first, int second, int sequence, long timestamp, long ssrc) noexcept:
    octets[0] = first
    octets[1] = second
    octets[2] = sequence >> 8
    octets[3] = sequence
    octets[4] = timestamp >> 24
    octets[5] = timestamp >> 16
    octets[6] = timestamp >> 8
    octets[7] = timestamp
    octets[8] = ssrc >> 24
    octets[9] = ssrc >> 16
    octets[10] = ssrc >> 8
    octets[11] = ssrc
