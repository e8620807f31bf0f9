import cython


cdef class Gathering:
    cdef public object coding, source
    cdef public int count
    cdef int _room
    cdef bytearray _payloads
    cdef unsigned short[::1] _sequences, _sizes
    cdef unsigned int[::1] _timestamps
    cdef double[::1] _arrivals

    @cython.locals(place=cython.int)
    cpdef add(self, int sequence, unsigned int timestamp, bytes payload, double arrived)
