import cython

from media.rtp.packet cimport Reception
from media.rtp.tap cimport Tap
from media.worker cimport wire
from media.worker.outgoing cimport Outgoing
from media.worker.rtpsocket cimport RtpSocket


cdef int _PLAIN, _SMALLEST, _LARGEST


cdef class Incoming:
    cdef public Reception reception
    cdef public object decoding, spoken
    cdef public long octets, invalid, wrong, wrong_payload
    cdef public double heard_at, rested_at
    cdef double _changed, _overhear_at, _sample_at
    cdef long _clock_rate, _discarded
    cdef int _overheard
    cdef object _coding
    cdef object _ear, _health, _hearers, _inband, _keys, _plan, _relays, _rtcp, _stream
    cdef tuple _taps
    cdef list _routes
    cdef Outgoing _relay
    cdef RtpSocket _socket

    @cython.locals(
        size=cython.int, first=cython.int, second=cython.int, route=cython.int, sequence=cython.long,
        timestamp=cython.long, ssrc=cython.long, now=cython.double, reception=Reception,
    )
    cpdef readable(self)
    @cython.locals(tap=Tap)
    cdef _overhear(self, int number, long sequence, long timestamp, int size, double now)
    cpdef _take(self, int size, double now)
