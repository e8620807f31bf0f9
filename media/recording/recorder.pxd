import cython

from media.recording.gathering cimport Gathering
from media.rtp.tap cimport Tap


cdef int _MOST


cdef class Recording:
    cdef public int number
    cdef public object path, outbox
    cdef public bint finished, paused, apart
    cdef object _rate, _part, _speakers, _left_out
    cdef list _heard


cdef class Channel(Tap):
    cdef public int speaker, number
    cdef Recording _recording
    cdef Gathering _gathering
    cdef bint _deaf
    cdef int _taken
    cdef object _source, _sources

    @cython.locals(gathering=Gathering, recording=Recording)
    cpdef take(self, object coding, object source, int sequence, unsigned int timestamp, bytes payload, double now)
