from media.worker cimport wire


cdef class RtpSocket:
    cdef object _before, _former, _guard, _host, _is_own, _latched_to, _latching, _owner, _poller, _socket
    cdef readonly object _probation
    cdef int _descriptor
    cdef long _foreign, _invalid
    cdef public bint latched
    cdef public object port, remote, send, shared

    cpdef int receive(self) except -2
    cpdef bint forward(self, int size) except -1
