import cython


cdef class Reception:
    cdef public long ssrc
    cdef public object source
    cdef public long max_sequence
    cdef public long received_now
    cdef public long clock_rate
    cdef public double jitter
    cdef public object losses
    cdef long _base_sequence
    cdef long _cycles
    cdef long _bad_sequence
    cdef long _expected_before
    cdef long _received_before
    cdef double _transit

    cpdef start(self, long ssrc, long sequence)
    @cython.locals(transit=cython.double, difference=cython.double)
    cpdef receive(self, long sequence, long timestamp, double arrival)
    @cython.locals(step=cython.long, highest=cython.long)
    cpdef receive_event(self, long sequence)
    cpdef set_clock(self, long clock_rate)


cdef class Sender:
    cdef public long ssrc
    cdef public long sequence
    cdef public long timestamp
    cdef public long clock_rate
    cdef public long sequence_shift
    cdef public long timestamp_shift
    cdef public long floor
    cdef public double sent_at
    cdef public object source
    cdef public long packets
    cdef public long octets
    cdef long _samples

    cpdef join(self, object source, long sequence, long timestamp, double now, long samples=*)
    cpdef bint admits(self, long sequence)
