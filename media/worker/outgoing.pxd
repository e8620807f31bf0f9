import cython

from media.rtp.packet cimport Sender
from media.worker cimport wire
from media.worker.rtpsocket cimport RtpSocket


cdef int _PLAIN, _MARKER
cdef long _TIMESTAMPS


cdef class Outgoing:
    cdef bint _octet_a_sample
    cdef RtpSocket _socket
    cdef public object noise
    cdef public Sender sender
    cdef public bint sounding
    cdef public object stream
    cdef public long unsent

    @cython.locals(sender=Sender)
    cpdef relay(self, object source, int second, long sequence, long timestamp, int size, double now)
